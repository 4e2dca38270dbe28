"""Says whether a build of ONNX Runtime has every operator of a model exported with --target mobile.

    python scripts/check_mobile_operators.py FOLDER
    python scripts/check_mobile_operators.py FOLDER --config mobile_package.required_operators.config

Without --config it asks the kernels of this Python's onnxruntime. The packages onnxruntime-android (Maven)
and onnxruntime-c, onnxruntime-objc (CocoaPods, Swift) are full builds, too: no CPU operator is left out in
onnxruntime's tools/ci_build/github/android/default_full_aar_build_settings.json and
tools/ci_build/github/apple/default_full_apple_framework_build_settings.json. With --config it reads the list
of a reduced build, such as android/mobile_package.required_operators.config beside them: that of the package
onnxruntime-mobile, which ended with 1.18.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

Operator = tuple[str, str]


def read_config(path: Path) -> set[Operator]:
    """Domain and name of every operator in a required-operators file."""
    lines = [line for line in path.read_text("utf-8").splitlines() if line and line[0] not in "#!"]
    parts = [line.split(";") for line in lines]
    return {(domain, name.strip()) for domain, _, names in parts for name in names.split(",")}


def kernels() -> set[Operator]:
    """Domain and name of every operator with a CPU kernel in this onnxruntime."""
    from onnxruntime.capi.onnxruntime_pybind11_state import get_all_opkernel_def

    found = [kernel for kernel in get_all_opkernel_def() if kernel.provider == "CPUExecutionProvider"]
    return {(kernel.domain or "ai.onnx", kernel.op_name) for kernel in found}


def main() -> int:
    """Prints the operators that are missing; 1 if there are any."""
    parser = argparse.ArgumentParser(description="Are all operators of a mobile export in a build?")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--config", type=Path)
    arguments = parser.parse_args()
    needed = read_config(arguments.folder / "required_operators.config")
    missing = sorted(needed - (read_config(arguments.config) if arguments.config else kernels()))
    for domain, name in missing:
        print(f"missing: {domain} {name}")
    print(f"{len(needed) - len(missing)} of {len(needed)} operators are there")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
