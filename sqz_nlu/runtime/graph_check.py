"""Looks into an ONNX file, without the onnx package, for what a bundle's graph must not contain.

ONNX Runtime would follow external data to other files and load custom operators; a bundle has one
self-contained graph of standard operators. Only the protobuf wire format is read (field numbers from
onnx.proto3), and large fields are skipped, not copied.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqz_nlu.errors import BundleError

ALLOWED_DOMAINS = frozenset({"", "ai.onnx", "com.microsoft"})

_MODEL_GRAPH, _MODEL_OPSET, _MODEL_FUNCTIONS = 7, 8, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_OUTPUT, _NODE_ATTRIBUTE, _NODE_DOMAIN = 2, 5, 7
_ATTRIBUTE_TENSORS = (5, 10)  # one, and a list
_ATTRIBUTE_GRAPHS = (6, 11)
_ATTRIBUTE_SPARSE = (22, 23)
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14
_OPSET_DOMAIN = 1
_LENGTH_DELIMITED = 2
_LARGEST_FIELD = 2**29 - 1


def check_graph(model: bytes) -> None:
    """Raises ``BundleError`` where a serialized ``ModelProto`` is not what a bundle may hold."""
    view = memoryview(model)
    try:
        graphs = 0
        for number, value in _fields(view):
            if number == _MODEL_FUNCTIONS:
                raise BundleError("model.onnx defines functions of its own; expected none.")
            if number == _MODEL_OPSET:
                _check_domains(value, _OPSET_DOMAIN)
            if number == _MODEL_GRAPH:
                graphs += 1
                _check_graph(value)
    except (IndexError, UnicodeDecodeError) as error:
        raise BundleError(f"model.onnx is not a readable ONNX file ({error}).") from error
    if graphs != 1:
        raise BundleError(f"model.onnx holds {graphs} graphs; expected exactly one.")


def produced_names(model: bytes) -> set[str]:
    """The names of all tensors that the nodes of a checked ``ModelProto`` make."""
    return {
        bytes(name).decode("utf-8")
        for number, graph in _fields(memoryview(model))
        if number == _MODEL_GRAPH
        for part, node in _fields(graph)
        if part == _GRAPH_NODE
        for field, name in _fields(node)
        if field == _NODE_OUTPUT
    }


def _check_graph(graph: memoryview) -> None:
    for number, value in _fields(graph):
        if number == _GRAPH_NODE:
            _check_domains(value, _NODE_DOMAIN)
            for inner, attribute in _fields(value):
                if inner == _NODE_ATTRIBUTE:
                    _check_attribute(attribute)
        elif number == _GRAPH_INITIALIZER:
            _check_tensor(value)
        elif number == _GRAPH_SPARSE:
            raise BundleError("model.onnx has sparse initializers; expected dense ones only.")


def _check_attribute(attribute: memoryview) -> None:
    for number, value in _fields(attribute):
        if number in _ATTRIBUTE_GRAPHS:
            raise BundleError("model.onnx has a graph inside an operator; expected none.")
        if number in _ATTRIBUTE_SPARSE:
            raise BundleError("model.onnx has a sparse tensor inside an operator; expected dense ones only.")
        if number in _ATTRIBUTE_TENSORS:
            _check_tensor(value)


def _check_tensor(tensor: memoryview) -> None:
    if any(number in (_TENSOR_EXTERNAL, _TENSOR_LOCATION) for number, _ in _fields(tensor)):
        raise BundleError("model.onnx refers to data outside itself; expected a single file.")


def _check_domains(message: memoryview, field: int) -> None:
    for number, value in _fields(message):
        if number == field and (domain := bytes(value).decode("utf-8")) not in ALLOWED_DOMAINS:
            raise BundleError(
                f"model.onnx uses operators of the domain '{domain}'; expected only "
                "those of ONNX and com.microsoft."
            )


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Field numbers and contents of a message; contents of fixed-size fields are empty."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, wire_type = key >> 3, key & 7
        if number > _LARGEST_FIELD:  # other readers would take its lower bits for another field
            raise IndexError(f"the field number {number} is too large")
        if wire_type == _LENGTH_DELIMITED:
            length, position = _varint(message, position)
            if position + length > len(message):
                raise IndexError("a field ends beyond its message")
            yield number, message[position : position + length]
            position += length
            continue
        if wire_type == 0:
            _, position = _varint(message, position)
        elif wire_type in (1, 5):
            position += 8 if wire_type == 1 else 4
        else:
            raise IndexError(f"wire type {wire_type} is unknown")
        yield number, message[:0]


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise IndexError("a number is too long")
