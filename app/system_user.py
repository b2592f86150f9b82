"""Under whom does root run a server that refuses to run as root? A system user, made when it is first needed."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

from app.errors import OperatorError

NAME = "openrouter-watcher"
HOME = Path("/var/lib/openrouter-watcher")


class SystemUserError(OperatorError):
    """The system user, or what should be its own, cannot be had."""


def caller() -> str:
    """Who runs this process, by the kernel's word: $USER says what it likes. Raises SystemUserError for a nameless number."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise SystemUserError(
            f"The embedded PostgreSQL needs a user with a name, and number {os.geteuid()} has none; set DATABASE_URL."
        ) from None


def make() -> None:
    """Raises SystemUserError where there is no way to."""
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", str(HOME)]
    try:
        done = subprocess.run(  # noqa: S603 -- fixed arguments
            [*command, "--shell", "/usr/sbin/nologin", NAME], capture_output=True, check=False
        )
    except FileNotFoundError:
        raise SystemUserError(
            "PostgreSQL does not run as root, and there is no useradd here to make a user for it; "
            "start as another user, or set DATABASE_URL."
        ) from None
    if not exists():
        raise SystemUserError(f"The system user {NAME} could not be made: {done.stderr.decode(errors='replace')}")


def exists() -> bool:
    """Whether it was made already."""
    try:
        pwd.getpwnam(NAME)
    except KeyError:
        return False
    return True


def can_reach(user: str, path: Path) -> bool:
    """Whether `user` may enter `path` (or its nearest parent that exists). The kernel is asked, as that user."""
    while not path.exists():
        path = path.parent
    test = ["/usr/bin/test", "-x", str(path)]
    return subprocess.run(test, user=user, group=user, extra_groups=[], check=False).returncode == 0  # noqa: S603 -- fixed


def own(path: Path, user: str) -> None:
    """Gives `path` to `user`, for nobody else to look into."""
    if os.geteuid() == 0:
        shutil.chown(path, user, user)
    elif path.stat().st_uid != os.geteuid():
        raise SystemUserError(f"{path} belongs to another user.")
    path.chmod(0o700)


def refuse_foreign(folder: Path, user: str) -> None:
    """In a folder where everybody may write, somebody else may have been there first."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in {os.geteuid(), pwd.getpwnam(user).pw_uid}:
        raise SystemUserError(f"{folder} belongs to another user.")


def write_as(user: str, path: Path, text: str) -> None:
    """A file of `user`'s, for nobody else to read."""
    # a new file that takes the old one's place: whatever `user` may have put there instead is not followed
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(file, "w", encoding="utf-8") as written:
        written.write(text)
        if os.geteuid() == 0:
            owner = pwd.getpwnam(user)
            os.fchown(file, owner.pw_uid, owner.pw_gid)
    draft.replace(path)
