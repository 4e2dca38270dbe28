"""Where the files of onnxruntime-web come from: ONNX Runtime as WebAssembly, to lie beside a page.

They are an npm package, not a Python one, and 14 MB: so they are found or fetched when a page is exported.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path

from sqz_nlu.errors import ExportError

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"  # what the tests run with
SCRIPT = "ort.wasm.bundle.min.mjs"
FILES = (SCRIPT, "ort-wasm-simd-threaded.wasm")

_HELP = (
    f"Install Node.js, which brings npm, and run this again; or run `npm install {PACKAGE}@{VERSION}` here; "
    f"or get {PACKAGE}-{VERSION}.tgz on another computer with `npm pack {PACKAGE}@{VERSION}` and give it "
    "with --onnxruntime-web FILE."
)


def runtime_files(given: Path | None = None) -> dict[str, bytes]:
    """The files a page needs, by name.

    Args:
        given: a folder of the package (or its ``dist``), or the ``.tgz`` of ``npm pack``. Without it the
            package is looked for in ``node_modules`` here and above, and else fetched by npm.

    Raises:
        ExportError: they are not where they were said to be, or there is no npm to fetch them.
    """
    if given is not None:
        return _from_archive(given) if given.is_file() else _from_folder(given)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "node_modules" / PACKAGE).is_dir():
            return _from_folder(folder / "node_modules" / PACKAGE)
    return _fetched()


def _from_folder(folder: Path) -> dict[str, bytes]:
    for place in (folder, folder / "dist", folder / "node_modules" / PACKAGE / "dist"):
        if all((place / name).is_file() for name in FILES):
            return {name: (place / name).read_bytes() for name in FILES}
    raise ExportError(
        f"'{folder}' has no {' and '.join(FILES)}; expected a folder of the npm package {PACKAGE} "
        f"(tested: {VERSION}). {_HELP}"
    )


def _from_archive(archive: Path) -> dict[str, bytes]:
    try:
        with tarfile.open(archive, "r:*") as package:
            return {name: _content(package, f"package/dist/{name}") for name in FILES}
    except (tarfile.TarError, KeyError, EOFError, OSError, zlib.error) as error:
        raise ExportError(f"'{archive}' is not the npm package {PACKAGE} ({error}). {_HELP}") from error


def _content(package: tarfile.TarFile, name: str) -> bytes:
    file = package.extractfile(name)
    if file is None:
        raise KeyError(f"{name} is not a file")
    return file.read()


def _fetched() -> dict[str, bytes]:
    npm = shutil.which("npm")
    if npm is None:
        raise ExportError(
            f"A page needs the npm package {PACKAGE}; there is none in a node_modules folder, and no npm to "
            f"fetch it. {_HELP}"
        )
    print(f"Fetching {PACKAGE} {VERSION} with npm ...", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent", "--pack-destination", folder]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(archives) != 1:
            raise ExportError(f"npm could not fetch {PACKAGE} ({done.stderr.strip()[-300:]}). {_HELP}")
        return _from_archive(archives[0])
