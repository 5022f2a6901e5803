"""The chain that `serving.backends` names, link by link."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from twin_pipelines.serving.backends.chain import Chain
from twin_pipelines.serving.backends.from_memories import FromMemories
from twin_pipelines.serving.backends.in_process import Champion, Stand
from twin_pipelines.serving.backends.llama_cpp import LlamaCpp
from twin_pipelines.serving.backends.ollama import Ollama
from twin_pipelines.serving.backends.openai_api import OpenAIFormat
from twin_pipelines.serving.backends.prompting import Prompting
from twin_pipelines.serving.engine import Engine
from twin_pipelines.settings import TwinSettings

if TYPE_CHECKING:
    from twin_pipelines.serving.backends.protocol import Backend
    from twin_pipelines.serving.backends.spares import Spares
    from twin_pipelines.settings import Backend as Link


def make_chain(settings: TwinSettings, engine: Engine, spares: Spares) -> Chain:
    """The links in the order of `serving.backends`, each under a name of its own."""
    prompting = Prompting(settings, engine, spares)
    kinds: dict[str, Callable[[str, Link], Backend]] = {
        "champion": lambda name, link: Champion(engine, link.deadline_seconds, name),
        "previous": lambda name, link: Stand(name, engine, spares.previous, link.deadline_seconds),
        "base": lambda name, link: Stand(name, engine, spares.base, link.deadline_seconds),
        "memories": lambda name, link: FromMemories(link.deadline_seconds, name),
        "openai": lambda name, link: OpenAIFormat(name, link, prompting),
        "ollama": lambda name, link: Ollama(name, link, prompting, settings.exports_dir),
        "llama_cpp": lambda name, link: LlamaCpp(name, link, prompting),
    }
    seen: Counter[str] = Counter()
    backends = []
    for link in settings.serving.backends:
        name = f"{link.kind}:{link.model}" if link.model else link.kind
        seen[name] += 1
        unique = name if seen[name] == 1 else f"{name}#{seen[name]}"
        backends.append(kinds[link.kind](unique, link))
    return Chain(backends)
