"""Small models with Lyra's signatures and shapes, and states that do not begin at zero, as its own do not."""

import hashlib
from functools import cache

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from soundgate.runtime.randomness import keyed_generator

HOP, DIM, N_CODEBOOKS, CODEBOOK_SIZE = 320, 64, 46, 16
FLOAT, INT, RESOURCE = schema.TensorType.FLOAT32, schema.TensorType.INT32, schema.TensorType.RESOURCE
OPERATORS = schema.BuiltinOperator


class Graph:
    """Operators and tensors of one subgraph, by name."""

    def __init__(self, model):
        self.model, self.subgraph = model, schema.SubGraphT()
        self.subgraph.tensors, self.subgraph.operators = [], []
        model.subgraphs.append(self.subgraph)

    def tensor(self, name, shape, kind=FLOAT, values=None):
        tensor, buffer = schema.TensorT(), schema.BufferT()
        tensor.name, tensor.shape, tensor.type = name, list(shape), kind
        tensor.buffer = len(self.model.buffers) if values is not None else 0
        if values is not None:
            buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
        self.subgraph.tensors.append(tensor)
        return len(self.subgraph.tensors) - 1

    def constant(self, name, values):
        return self.tensor(name, values.shape, INT if values.dtype == np.int32 else FLOAT, values)

    def run(self, kind, inputs, outputs, options=None):
        operator, code = schema.OperatorT(), schema.OperatorCodeT()
        code.builtinCode = getattr(OPERATORS, kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        operator.opcodeIndex = len(self.model.operatorCodes)
        self.model.operatorCodes.append(code)
        operator.inputs, operator.outputs = inputs, outputs
        if options is not None:
            operator.builtinOptions = options
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
        self.subgraph.operators.append(operator)

    def reshaped(self, tensor, shape):
        output = self.tensor(f"reshaped {len(self.subgraph.tensors)}", shape)
        wanted = self.constant(f"shape {len(self.subgraph.tensors)}", np.array(shape, np.int32))
        self.run("RESHAPE", [tensor, wanted], [output], schema.ReshapeOptionsT())
        return output

    def product(self, tensor, weight):
        output = self.tensor(f"product {len(self.subgraph.tensors)}", (1, len(weight)))
        inputs = [tensor, self.constant(f"weight {len(self.subgraph.tensors)}", weight), -1]
        self.run("FULLY_CONNECTED", inputs, [output], schema.FullyConnectedOptionsT())
        return output

    def variable(self):
        handle, options = self.tensor("state", (), RESOURCE), schema.VarHandleOptionsT()
        options.container, options.sharedName = "", "state"
        self.run("VAR_HANDLE", [], [handle], options)
        return handle

    def ends(self, inputs, output, signature="serving_default"):
        self.subgraph.inputs, self.subgraph.outputs = list(inputs.values()), [output]
        made = schema.SignatureDefT()
        made.signatureKey, made.subgraphIndex = signature, len(self.model.subgraphs) - 1
        made.inputs = [named(name, tensor) for name, tensor in inputs.items()]
        made.outputs = [named("output_0", output)]
        self.model.signatureDefs.append(made)


def named(name, tensor):
    result = schema.TensorMapT()
    result.name, result.tensorIndex = name, tensor
    return result


def empty_model():
    model = schema.ModelT()
    model.version, model.buffers = 3, [schema.BufferT()]
    model.subgraphs, model.operatorCodes, model.signatureDefs = [], [], []
    return model


def packed(model):
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def streaming(weight, shape_in, shape_out):
    """The product of a weight [n_out, 2 n_in] and a frame and the one before it; before the first, 0.1 everywhere."""
    model, width = empty_model(), weight.shape[1] // 2
    main = Graph(model)
    frame = main.tensor("input", shape_in)
    once = schema.CallOnceOptionsT()
    once.initSubgraphIndex = 1
    main.run("CALL_ONCE", [], [], once)
    handle, before = main.variable(), main.tensor("before", (1, width))
    main.run("READ_VARIABLE", [handle], [before], schema.ReadVariableOptionsT())
    flat, joined = main.reshaped(frame, (1, width)), main.tensor("joined", (1, 2 * width))
    options = schema.ConcatenationOptionsT()
    options.axis = 1
    main.run("CONCATENATION", [before, flat], [joined], options)
    output = main.reshaped(main.product(joined, weight), shape_out)
    main.run("ASSIGN_VARIABLE", [handle, flat], [], schema.AssignVariableOptionsT())
    main.ends({"input_audio": frame}, output)
    start = Graph(model)
    initial = start.constant("initial", np.full((1, width), 0.1, np.float32))
    start.run("ASSIGN_VARIABLE", [start.variable(), initial], [], schema.AssignVariableOptionsT())
    start.subgraph.inputs, start.subgraph.outputs = [], []
    return packed(model)


def codebook_sum(codebooks):
    """The sum of the entries that indices [46, 1, 1] name; -1 names none."""
    model = empty_model()
    main = Graph(model)
    indices = main.tensor("indices", (N_CODEBOOKS, 1, 1), INT)
    hot = main.tensor("hot", (N_CODEBOOKS, 1, 1, CODEBOOK_SIZE))
    depth = main.constant("depth", np.array(CODEBOOK_SIZE, np.int32))
    on, off = (main.constant(str(value), np.array(value, np.float32)) for value in (1.0, 0.0))
    options = schema.OneHotOptionsT()
    options.axis = -1
    main.run("ONE_HOT", [indices, depth, on, off], [hot], options)
    flat = main.reshaped(hot, (1, N_CODEBOOKS * CODEBOOK_SIZE))
    summed = main.product(flat, codebooks.reshape(-1, DIM).T)
    main.ends({"encoding_indices": indices}, main.reshaped(summed, (1, 1, DIM)), "decode")
    return packed(model)


def drawn(name, *shape):
    return keyed_generator(0, "test-tiny-lyra", name).standard_normal(shape).astype(np.float32)


@cache
def tiny_files():
    """Content of each file by its name in a folder; the decoder gives about 0.2 of what the encoder was given."""
    encoder = drawn("encoder", DIM, 2 * HOP) * np.repeat(np.float32([0.1, 0.7]), HOP)
    decoder = np.hstack([0 * encoder[:, HOP:].T, encoder[:, HOP:].T]) / (0.5 * HOP)
    widths = np.float32(2.0) ** -np.minimum(np.arange(N_CODEBOOKS), 3)
    codebooks = drawn("codebooks", N_CODEBOOKS, CODEBOOK_SIZE, DIM) * widths[:, None, None]
    return {
        "soundstream_encoder.tflite": streaming(encoder, (1, HOP), (1, 1, DIM)),
        "quantizer.tflite": codebook_sum(codebooks),
        "lyragan.tflite": streaming(decoder, (1, 1, DIM), (1, HOP)),
    }


def write_tiny(folder):
    """Write the files into a folder and return the settings that load them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in tiny_files().items():
        (folder / name).write_bytes(content)
    return {"weights": str(folder), "sha256": tiny_hashes()}


def tiny_hashes():
    return {name.partition(".")[0]: hashlib.sha256(content).hexdigest() for name, content in tiny_files().items()}
