"""`/memory/search` and `/v1/embeddings`: what the twin remembers, and the vectors it does it by."""

from __future__ import annotations

import base64
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator
from starlette.concurrency import run_in_threadpool

from twin_pipelines.embeddings.encoder import Vectors
from twin_pipelines.foundation.words import words_of
from twin_pipelines.retrieval.records import Filters, Hit, Kind, Question
from twin_pipelines.serving.connections import NoDatabase
from twin_pipelines.serving.recollection import Recollection
from twin_pipelines.serving.refusals import Refusal
from twin_pipelines.settings import TwinError

EMBEDDING = "twin-embedding"  # whichever model embedding.model names
LONGEST_QUERY = 4_000  # characters; the embedding model reads no more
MOST_FOUND = 100
MOST_TURNS = 20
MOST_TEXTS = 2_048  # of one request for vectors, as OpenAI has it


class MemoryQuery(BaseModel):
    """A search among turns and memories. A filter that is left out lets everything through."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(max_length=LONGEST_QUERY)
    k: int = Field(default=10, ge=1, le=MOST_FOUND)
    turns: list[str] = Field(default=[], max_length=MOST_TURNS)  # of the chat before, oldest first
    asked_on: date | None = None  # what "yesterday" counts from
    kinds: list[Kind] = []
    types: list[str] = []  # of memories; "message" for turns
    about: list[str] = []  # who said it, or whom the memory is about
    sources: list[str] = []
    since: AwareDatetime | None = None
    before: AwareDatetime | None = None  # as of then
    dreams: bool = False  # dreams, and nothing else

    @field_validator("about", "kinds", "types", "sources", "turns", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("query")
    @classmethod
    def _asks_something(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("it holds no text")
        return value

    @property
    def question(self) -> Question:
        """What is looked up."""
        turns = tuple(turn[:LONGEST_QUERY] for turn in self.turns)
        return Question(self.query, turns, self.asked_on)

    @property
    def filters(self) -> Filters:
        """What may be found."""
        return Filters(
            kinds=frozenset(self.kinds),
            speakers=frozenset(self.about),
            types=frozenset(self.types),
            sources=frozenset(self.sources),
            since=self.since,
            before=self.before,
            dreams=self.dreams,
        )


class EmbeddingRequest(BaseModel):
    """Vectors that are asked for. Fields of the format that are not here are ignored."""

    model_config = ConfigDict(extra="ignore")

    input: str | list[str]
    model: str = EMBEDDING
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None

    @field_validator("input", mode="before")
    @classmethod
    def _holds_text(cls, value: Any) -> Any:
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError("it is text or a list of texts; token ids cannot be read")
        if not 1 <= len(texts) <= MOST_TEXTS:
            raise ValueError(f"it holds {len(texts)} texts, and 1 to {MOST_TEXTS} can be asked for")
        if not all(text.strip() for text in texts):
            raise ValueError("a text is empty")
        return texts


def memory_routes(recollection: Recollection) -> APIRouter:
    """The two paths; whoever includes them asks for the token."""
    routes = APIRouter()

    @routes.get("/memory/search")
    async def asked_by_address(asked: Annotated[MemoryQuery, Query()]) -> dict[str, Any]:
        return await run_in_threadpool(_found, recollection, asked)

    @routes.post("/memory/search")
    async def asked_by_body(asked: MemoryQuery) -> dict[str, Any]:
        return await run_in_threadpool(_found, recollection, asked)

    @routes.post("/v1/embeddings")
    async def embed(asked: EmbeddingRequest) -> dict[str, Any]:
        return await run_in_threadpool(_vectors, recollection, asked)

    return routes


def _found(recollection: Recollection, asked: MemoryQuery) -> dict[str, Any]:
    try:
        hits = recollection.find(asked.question, k=asked.k, filters=asked.filters)
    except NoDatabase as error:
        raise Refusal(503, str(error), "database_down") from error
    except TwinError as error:
        raise Refusal(503, str(error), "not_ready") from error
    data = [_told(hit, rank) for rank, hit in enumerate(hits, start=1)]
    return {"object": "list", "data": data}


def _told(hit: Hit, rank: int) -> dict[str, Any]:
    return {
        "object": hit.kind,
        "id": hit.ref,
        "memory_id": hit.memory_id,
        "rank": rank,
        "content": hit.text,
        "type": hit.type,
        "about": hit.speaker,
        "session_id": hit.session_id,
        "first_at": hit.sent_at,
        "last_at": hit.ended_at,
        "message_ids": hit.message_ids,
        "importance": hit.importance,
        "pinned": hit.pinned,
        "imagined": hit.imagined,
        "score": hit.score,
        "boost": hit.boost,
        "signs": dict(hit.signs),
        "why": hit.why,
    }


def _vectors(recollection: Recollection, asked: EmbeddingRequest) -> dict[str, Any]:
    try:
        encoder = recollection.encoder()
        _check(asked, encoder.model_id, encoder.dimensions)
        vectors = recollection.embed(asked.input)
    except TwinError as error:
        raise Refusal(503, str(error), "not_ready") from error
    words = sum(map(len, map(words_of, asked.input)))
    return {
        "object": "list",
        "model": encoder.model_id,
        "data": [
            {"object": "embedding", "index": place, "embedding": vector}
            for place, vector in enumerate(_written(vectors, asked.encoding_format))
        ],
        "usage": {"prompt_tokens": words, "total_tokens": words},
    }


def _check(asked: EmbeddingRequest, model: str, dimensions: int) -> None:
    if asked.model not in (EMBEDDING, model):
        words = f"{asked.model!r} makes no vectors here; ask for {EMBEDDING!r}, which is {model}."
        raise Refusal(404, words, "model_not_found")
    if asked.dimensions not in (None, dimensions):
        words = f"{model} makes vectors of {dimensions} dimensions; leave `dimensions` out."
        raise Refusal(400, words, "invalid_request")


def _written(vectors: Vectors, how: Literal["float", "base64"]) -> list[Any]:
    """Lists of numbers, or the bytes of little-endian float32 in base64."""
    if how == "float":
        return vectors.tolist()
    return [base64.b64encode(vector.astype("<f4").tobytes()).decode() for vector in vectors]
