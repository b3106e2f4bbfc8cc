"""A secret as the configuration gives it in (text, ``{ file = "..." }`` or ``{ env = "NAME" }``), a checked Secret out.

No message holds any part of a secret, and a secret from a file that other users can read is refused.
"""

import os
import re
import stat
from base64 import b64decode
from binascii import Error as Base64Error
from pathlib import Path
from typing import Any

from proxy_listener.config.fields import FieldError, listed, shown
from proxy_listener.model.secret import Secret
from proxy_listener.state import read_regular

SECRET_BYTES = 4096
MOST_BINDKEYS = 8


def noise_key(secret: Secret) -> Secret:
    """Check a Noise key: the base64 of 32 bytes, as in ESPHome's ``api: encryption: key``."""
    expected = "expected the base64 of 32 bytes (44 characters), as in ESPHome's api: encryption: key"
    if len(secret) != 44:
        raise FieldError(f"{len(secret)} characters, {expected}")
    try:
        if len(b64decode(secret.reveal(), validate=True)) == 32:
            return secret
    except (Base64Error, ValueError):
        pass
    raise FieldError(f"not base64, {expected}")


def bindkey(secret: Secret) -> Secret:
    """Check a bindkey: 24 hex digits (MiBeacon v2/v3) or 32 (v4/v5)."""
    digits = secret.reveal()
    if not re.fullmatch(r"[0-9A-Fa-f]*", digits):
        raise FieldError(f"{len(secret)} characters, not all of them hex digits, expected 24 or 32 hex digits")
    if len(digits) not in {24, 32}:
        raise FieldError(f"{len(digits)} hex digits, expected 24 or 32")
    if not digits.strip("Ff"):
        raise FieldError("all F: the cloud's way to say that there is no key; leave it out")
    return secret


class Secrets:
    """Reads secrets. Paths of files are relative to ``folder``.

    ``literal``: whether any secret so far was written out in the configuration itself.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.literal = False

    def secret(self, value: Any, _: Any) -> Secret:
        """Any secret that is not empty."""
        if isinstance(value, str):
            self.literal = True
            found = value
        elif isinstance(value, dict) and len(value) == 1 and isinstance(value.get("file"), str):
            found = self._from_file(value["file"])
        elif isinstance(value, dict) and len(value) == 1 and isinstance(value.get("env"), str):
            found = from_environment(value["env"])
        else:
            raise FieldError('expected text, { file = "..." } or { env = "NAME" }')
        if not found:
            raise FieldError("is empty")
        try:
            found.encode()
        except UnicodeEncodeError:  # bytes of the environment that are not UTF-8; this error would quote the secret
            raise FieldError("expected UTF-8") from None
        return Secret(found)

    def noise_psk(self, value: Any, wanted: Any) -> Secret:
        """A secret that is a Noise key."""
        return noise_key(self.secret(value, wanted))

    def bindkeys(self, value: Any, wanted: Any) -> tuple[Secret, ...]:
        """One bindkey, or a list of them, newest first."""
        if not isinstance(value, list):
            return (bindkey(self.secret(value, wanted)),)
        if len(value) > MOST_BINDKEYS:
            raise FieldError(f"{len(value)} keys, expected at most {MOST_BINDKEYS}")
        return listed(value, lambda item: bindkey(self.secret(item, wanted)))

    def _from_file(self, name: str) -> str:
        path = self.folder / name
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise FieldError(f"{shown(name)} is not a regular file")
            refuse_readable(path, "holds a secret")
            return read_regular(path, SECRET_BYTES).decode().rstrip("\r\n")
        except OSError as error:
            raise FieldError(f"cannot read {shown(str(path))}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise FieldError(f"{shown(name)} is not UTF-8 text") from None
        except ValueError as error:
            raise (error if isinstance(error, FieldError) else FieldError("expected the path of a file")) from None


def from_environment(name: str) -> str:
    """The secret that an environment variable holds."""
    value = os.environ.get(name)
    if value is None:
        raise FieldError(f"the environment variable {shown(name)} is not set")
    return value


def refuse_readable(path: Path, what: str) -> None:
    """FieldError, with the command that corrects it, where group or others can read or write ``path``.

    Files in ``/run/secrets`` and ``$CREDENTIALS_DIRECTORY`` are exempt: there the container engine and systemd set the
    modes, and the directory keeps other users out.
    """
    kept = [Path("/run/secrets"), *(Path(text) for text in [os.environ.get("CREDENTIALS_DIRECTORY")] if text)]
    where = path.resolve()
    if stat.S_IMODE(where.stat().st_mode) & 0o066 and not any(where.is_relative_to(k.resolve()) for k in kept):
        raise FieldError(f"{what} and others can read it; fix it with: chmod 600 {shown(str(path))}")
