"""The chat page: three kinds of static files, and the routes that hand them out.

Comes in: nothing; the files hold no word of anybody and need no token. Goes out: a page that talks
to this server's own HTTP paths with the token of the address it was opened by. It loads nothing
from elsewhere and needs no build step. May touch nothing.
"""
