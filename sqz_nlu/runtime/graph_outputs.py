"""Makes an inner tensor of a serialized graph an output of it, without the onnx package.

Protobuf merges a message that is written twice: its lists are joined. So a second, tiny ``graph`` appended to
the bytes of a model adds one output to the first; nothing is parsed, copied or computed anew.
"""

from __future__ import annotations

from sqz_nlu.errors import BundleError
from sqz_nlu.runtime.graph_check import produced_names

_MODEL_GRAPH, _GRAPH_OUTPUT, _VALUE_NAME = 7, 12, 1
_LENGTH_DELIMITED = 2


def with_output(model: bytes, name: str) -> bytes:
    """The model with the tensor ``name`` as a further output.

    Args:
        model: a serialized ``ModelProto`` that `check_graph` accepts.
        name: a tensor that a node of the graph makes and that is no output yet.

    Raises:
        BundleError: no node makes it.
    """
    if name not in produced_names(model):
        raise BundleError(
            f"model.onnx has no tensor '{name}', where this version of sqz-nlu expects the token states. "
            "Train or export the bundle again."
        )
    output = _field(_VALUE_NAME, name.encode())
    return model + _field(_MODEL_GRAPH, _field(_GRAPH_OUTPUT, output))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
