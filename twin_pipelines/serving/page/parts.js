// Pieces of the page. Whatever was written by somebody becomes text, never markup.

/** Mark an element whose words are Thai, for line breaks and voices. */
export function markLanguage(element, words) {
  if (/[\u0e00-\u0e7f]/.test(words)) element.lang = "th";
  else element.removeAttribute("lang");
}

/** A new element with a class and a text; markup in the text stays text. */
export function made(tag, className = "", words = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (words) element.textContent = words;
  return element;
}

/** A quiet button that does something when it is pressed. */
export function button(words, act, className = "quiet") {
  const element = made("button", className, words);
  element.type = "button";
  element.addEventListener("click", act);
  return element;
}
