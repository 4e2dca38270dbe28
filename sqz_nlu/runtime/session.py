"""An ONNX Runtime session that opens late, once for each process, and says clearly what went wrong."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnxruntime

from sqz_nlu.errors import BundleError
from sqz_nlu.runtime.forks import forget_after_fork
from sqz_nlu.runtime.graph_outputs import with_output

_ERRORS_ONLY = 3


class GraphSession:
    """Runs a bundle's graph.

    The session is opened on first use and again in a forked child, because ONNX Runtime's threads do not
    survive a fork; the child never closes the parent's, which would wait for them for ever. `run` may be
    called from many threads at once.

    Args:
        model: the bytes of an ONNX file.
        threads: threads for one run; 1 is fastest for single short texts.
    """

    def __init__(self, model: bytes, threads: int = 1) -> None:
        self._model = model
        self._threads = threads
        self._exposed: str | None = None
        self._lock = threading.Lock()
        self._opened: onnxruntime.InferenceSession | None = None
        self._masked = False  # whether the graph has a second input, as those of older bundles
        forget_after_fork(self)

    def run(self, outputs: Sequence[str], ids: npt.NDArray[np.int32]) -> list[npt.NDArray[np.float32]]:
        """Runs the graph on texts of equal length.

        Args:
            outputs: names of the outputs wanted.
            ids: token ids, ``[batch, tokens]``.
        """
        session = self._session()
        inputs = {"input_ids": ids}
        if self._masked:
            inputs["attention_mask"] = np.ones_like(ids)
        found: list[npt.NDArray[np.float32]] = session.run(outputs, inputs)
        return found

    def expose(self, name: str) -> None:
        """Makes the inner tensor ``name`` an output that `run` can be asked for.

        Costs one opening of the session where it is open already; runs that are under way are not disturbed.
        Nothing more is computed, and the weights are held once.

        Raises:
            BundleError: the graph has no such tensor.
        """
        if self._exposed == name:
            return
        with self._lock:
            if self._exposed != name:
                with_output(self._model, name)
                self._opened = None  # first: who sees the name must not find the old session
                self._exposed = name

    def _session(self) -> onnxruntime.InferenceSession:
        opened = self._opened
        if opened is not None:
            return opened
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def forget(self) -> None:
        """Leaves the session, and a lock that may be held, to the parent of this forked process."""
        self._lock = threading.Lock()
        if self._opened is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._opened))  # so that it is never closed here
            self._opened = None

    def _open(self) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        options.enable_mem_pattern = False  # shapes change with every text
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        model = with_output(self._model, self._exposed) if self._exposed else self._model
        try:
            session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions have no common public base
            raise BundleError(
                f"ONNX Runtime {onnxruntime.__version__} cannot run model.onnx ({error}). "
                "Expected onnxruntime 1.17 or newer; update it."
            ) from error
        self._masked = len(session.get_inputs()) > 1
        return session
