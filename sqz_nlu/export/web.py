"""The web target: a static folder with a page that understands what is typed into it, without a server.

index.html   the page
sqz-nlu/     the JavaScript of this package: tokenizer, decoder, Interpreter
ort/         ONNX Runtime as WebAssembly
bundle/      the bundle as it is
"""

from __future__ import annotations

from pathlib import Path

from sqz_nlu.export.onnxruntime_web import runtime_files
from sqz_nlu.export.target import WEB, require_labels, write_target
from sqz_nlu.runtime.bundle import MANIFEST, Bundle, build_manifest, describe

PAGE = "index.html"
# A folder with all of these is a page of ours, and may be replaced; a bundle alone is none.
_SIGNS = (PAGE, "sqz-nlu/bridge.js", f"bundle/{MANIFEST}")


def export_web(bundle: Bundle, folder: Path, onnxruntime_web: Path | None = None) -> Path:
    """Writes the folder; one that an export wrote before is replaced.

    Args:
        bundle: a bundle with intents or entities.
        folder: where; a web server that hands out files can serve it as it is.
        onnxruntime_web: see `runtime_files`.

    Raises:
        BundleError: the bundle holds an encoder only.
        ExportError: onnxruntime-web cannot be found, something else is in the way, or the disk refuses.
    """
    require_labels(bundle)
    modules = sorted(file for file in WEB.iterdir() if file.suffix in {".js", ".ts", ".json"})
    manifest = build_manifest(bundle.contents, describe(bundle.manifest))
    files = {f"ort/{name}": content for name, content in runtime_files(onnxruntime_web).items()}
    files |= {f"sqz-nlu/{module.name}": module.read_bytes() for module in modules}
    files |= {f"bundle/{name}": content for name, content in {**bundle.contents, MANIFEST: manifest}.items()}
    files[PAGE] = (WEB / PAGE).read_bytes()
    return write_target(folder, files, _SIGNS)
