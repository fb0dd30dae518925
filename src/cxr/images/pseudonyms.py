"""Patient ids of data that are not public: a keyed hash, so that folds can keep patients together without naming them.

The key ("salt") is drawn once for each user and stays outside every output folder: whoever gets a table cannot try out
hospital numbers. The same patient has the same pseudonym in everything that one user converts.
"""

import hashlib
import os
import secrets
from pathlib import Path

from cxr.faults import DataFault
from cxr.paths import salt_file

VARIABLE = "CXR_SALT"
# label files by which the known public sets are told; their ids are pseudonyms already
PUBLIC_SETS = ("train_study_level.csv", "train_image_level.csv", "stage_2_train_labels.csv", "Data_Entry_2017.csv")
LEVELS = 3  # folders above the pictures in which such a file may lie: <set>/train/<study>


def is_public(root: Path) -> bool:
    """Whether a folder of pictures belongs to a known public set: SIIM-FISABIO-RSNA, RSNA Pneumonia, NIH."""
    root = root.resolve()
    return any((folder / name).is_file() for folder in [root, *root.parents][:LEVELS] for name in PUBLIC_SETS)


def pseudonym(patient_id: str, salt: str) -> str:
    """16 hex digits: BLAKE2b of the id with the salt as its key."""
    return hashlib.blake2b(patient_id.encode("utf-8", "surrogateescape"), key=salt.encode(), digest_size=8).hexdigest()


def user_salt() -> str:
    """The salt of this user, made at the first call. The variable CXR_SALT (16 to 64 characters) takes its place.

    Raises DataFault if there is none and none can be kept.
    """
    salt = os.environ.get(VARIABLE)
    if salt is None:
        salt = _kept_salt(salt_file())
    if not 16 <= len(salt.encode()) <= 64:
        raise DataFault(f"the salt for patient ids has {len(salt.encode())} bytes; give {VARIABLE} 16 to 64 characters")
    return salt


def _kept_salt(path: Path) -> str:
    try:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_name(f".{path.name}.{os.getpid()}")
            with open(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                file.write(secrets.token_hex(32))
            try:
                os.link(fresh, path)  # unlike a rename, this never replaces the salt that another process kept first
            except FileExistsError:
                pass  # and that one counts
            finally:
                fresh.unlink()
        return path.read_text().strip()
    except OSError as error:
        raise DataFault(
            f"{path}: the salt for patient ids cannot be kept ({error.strerror or error}); "
            f"set {VARIABLE} to 16 to 64 secret characters"
        ) from None
