"""A network taken apart: a graph of modules, each used once, that computes what the network does.

The network is run once on images while every function of torch that it calls is written down. So
it may be written in any way: with modules or functions, in place or not, with flow that depends on
shapes. Flow that depends on the values of an image cannot be followed and is refused; the last
step holds the graph to the network on other images, in another number.
"""

from __future__ import annotations

import operator
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode

from shamsul.errors import InputError
from shamsul.model import operations

OWN = (str(Path(torch.__file__).parent), __file__)
"""Folders and files whose lines of code are not a network's own."""


def traced(network: nn.Module, images: Tensor) -> fx.GraphModule:
    """Take a network apart.

    Parameters
    ----------
    network : any, (N, K, H, W) -> (N, C); it is left as it is.
    images : (N, K, H, W), at least one; they show shapes and types, and a flow that depends on
        them is that of images like these.

    Returns
    -------
    A graph in evaluation mode whose modules are those of `shamsul.model.operations`, named by
    their places in the network. Parameters and buffers *are* the network's. Each node of the graph
    tells in `meta` the `name` of its operation, the `shape` of its value and, as `said`, where in
    the network it is, in words.

    Raises
    ------
    InputError
        The network's flow depends on the values of images, or it computes with something else than
        torch's functions.
    """
    one = images[:1].detach()
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(one.shape, generator=generator).to(one)
    with _evaluated(network), torch.no_grad():
        other = one * (0.5 + noise / 2)
        expected = network(other.clone())  # First: some networks check the first images they see.
        steps = _recorded(network, one.repeat(2, 1, 1, 1))
        _hold_to(expected, steps, other)
    return steps


def _hold_to(expected: Any, steps: fx.GraphModule, images: Tensor) -> None:
    try:
        found = steps(images)
    except (RuntimeError, TypeError, ValueError) as error:
        raise _not_followed() from error
    tolerance = torch.finfo(expected.dtype).eps ** 0.5
    limit = tolerance * max(1e-6, float(expected.abs().max()))
    if found.shape != expected.shape or not bool((found - expected).abs().max() <= limit):
        raise _not_followed()


def _not_followed() -> InputError:
    return InputError(
        "it computes with more than torch's functions of the images, so what it does with other "
        "images cannot be told (TorchScript, numpy, random numbers or a fixed number of images)"
    )


@contextmanager
def _evaluated(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode, and back."""
    before = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


def _recorded(network: nn.Module, images: Tensor) -> fx.GraphModule:
    recorder = _Recorder(network)
    handles: list[Any] = []
    try:
        for name, module in network.named_modules():
            if not isinstance(module, torch.jit.ScriptModule):
                handles.append(module.register_forward_pre_hook(recorder.entering(name)))
                handles.append(module.register_forward_hook(recorder.leaving))
        recorder.track(images, recorder.graph.placeholder("images"))
        with recorder:
            output = network(images)
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(output, Tensor):
        kind = type(output).__name__
        raise InputError(f"its output is a {kind} and no tensor of logits (images, classes)")
    if (node := _node(output)) is None:
        raise _not_followed()
    recorder.graph.output(node)
    steps = fx.GraphModule(recorder.parts, recorder.graph)
    tidy(steps)
    return steps.eval()


def tidy(steps: fx.GraphModule) -> None:
    """Leave out what a graph does not use, and make its `forward` anew."""
    steps.graph.eliminate_dead_code()
    steps.delete_all_unused_submodules()
    steps.recompile()


def _node(value: Any) -> fx.Node | None:
    """Return the node whose value a tensor is, if it was computed of the images."""
    return getattr(value, "_shamsul_node", None) if isinstance(value, Tensor) else None


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in arguments or in a result."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)


@dataclass(frozen=True)
class _Call:
    """A call of one of torch's functions, and what it was given.

    Attributes
    ----------
    function, name : the function, and its plain name.
    arguments, named : its arguments; tensors of the images have nodes.
    shape : shape of the first argument before the call, which may work in place.
    inputs : nodes of the tensors that were computed of the images.
    """

    function: Any
    name: str
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    shape: tuple[int, ...]
    inputs: list[fx.Node]

    @classmethod
    def of(cls, function: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> _Call:
        """Return the call, its first argument in its place."""
        if not arguments and "input" in named:
            arguments = (named["input"],)
            named = {name: value for name, value in named.items() if name != "input"}
        first = arguments[0] if arguments else None
        shape = tuple(first.shape) if isinstance(first, Tensor) else ()
        inputs = [node for tensor in _tensors((arguments, named)) if (node := _node(tensor))]
        return cls(function, operations.plain(function), arguments, named, shape, inputs)

    def changes_nothing(self, result: Any) -> bool:
        """Return whether the result is the first argument, as it was given."""
        first = self.arguments[0] if self.arguments else None
        if not isinstance(first, Tensor) or not isinstance(result, Tensor) or not _node(first):
            return False
        if (result.shape, result.dtype, result.device) != (self.shape, first.dtype, first.device):
            return False
        if self.name in operations.RANDOM:
            return torch.equal(result, first)
        return self.name in operations.SAME | operations.RESHAPING

    def module(self, result: Any) -> nn.Module | None:
        """Return the module that computes the result of the first argument alone."""
        if not isinstance(result, Tensor) or not self.arguments or not _node(self.arguments[0]):
            return None
        if self.name in operations.RESHAPING and self.shape[:1] == result.shape[:1]:
            rest = tuple(result.shape[1:])
            return nn.Flatten() if len(rest) == 1 else operations.Reshape(rest)
        if len(self.inputs) != 1:
            return None
        return operations.made(self.name, self.arguments, self.named)


class _Recorder(TorchFunctionMode):
    """The writer of a graph: it sees every function of torch that a network calls.

    Attributes
    ----------
    graph : what has been written.
    parts : modules and tensors of the graph, by their names in it.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.graph = fx.Graph()
        self.parts: dict[str, Any] = {}
        self._inside: list[tuple[str, nn.Module]] = [("", network)]
        self._places = {name for name, _ in network.named_modules(remove_duplicate=False)}
        self._constants: dict[int, fx.Node] = {}

    def entering(self, name: str) -> Any:
        """Return the hook that tells which module starts."""

        def hook(module: nn.Module, _: Any) -> None:
            self._inside.append((name, module))

        return hook

    def leaving(self, *_: Any) -> None:
        """Tell that a module is done; a hook."""
        self._inside.pop()

    def track(self, value: Tensor, node: fx.Node) -> None:
        """Remember whose value a tensor is."""
        node.meta["shape"] = tuple(value.shape)
        value._shamsul_node = node  # type: ignore[attr-defined]

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call a function, and write the call down if it is given what is computed of images."""
        call = _Call.of(function, args, kwargs or {})
        if not call.inputs:
            return function(*args, **(kwargs or {}))
        if call.name in operations.VALUES:
            raise InputError(f"it decides by the values of images ({self._where()})")
        if call.name == "setitem":
            raise InputError(f"it writes into a part of a tensor ({self._where()})")
        result = function(*args, **(kwargs or {}))
        if call.changes_nothing(result):
            if result is not call.arguments[0]:
                self.track(result, call.inputs[0])
        elif isinstance(result, Tensor):
            self.track(result, self._written(call, result))
        elif isinstance(result, tuple | list) and any(isinstance(r, Tensor) for r in result):
            parts = self._written(call, result)
            for number, part in enumerate(result):
                if isinstance(part, Tensor):
                    node = self.graph.call_function(operator.getitem, (parts, number))
                    node.meta |= parts.meta | {"name": "getitem"}
                    self.track(part, node)
        return result

    def _written(self, call: _Call, result: Any) -> fx.Node:
        """Write a call down: its node."""
        layer, inside = self._inside[-1]
        module = call.module(result)
        if module is None and call.name == "mul" and len(call.inputs) == 2:
            gated = operations.self_gated(*call.inputs, self.parts)
            if gated:
                module, call = gated[1], replace(call, inputs=[gated[0]])
        if module is not None:
            target = self._free(layer, inside, call.name)
            self.parts[target] = module
            node = self.graph.call_module(target, (call.inputs[0],))
        else:
            node = self._function(call)
        kind, said = type(inside).__name__, f" (layer {layer})" if layer else ""
        leaf = layer and not inside._modules
        node.meta = {
            "name": call.name,
            "said": f"{kind}{said}" if leaf else f"{call.name} in {kind}{said}",
        }
        return node

    def _function(self, call: _Call) -> fx.Node:
        function, name = call.function, getattr(call.function, "__name__", "")
        values, named = fx.node.map_aggregate((call.arguments, call.named), self._named)
        if "inplace" in named:
            named = named | {"inplace": False}
        if name == "__get__":
            return self.graph.call_function(getattr, (values[0], call.name))
        if name.endswith("_") and not name.startswith("__"):
            name = call.name
            function = getattr(torch, name, None) or getattr(Tensor, name, None)
            if function is None:
                raise InputError(f"{call.name}_ works in place ({self._where()})")
        if function is getattr(Tensor, name, None):
            return self.graph.call_method(name, values, dict(named))
        return self.graph.call_function(function, values, dict(named))

    def _named(self, value: Any) -> Any:
        """Return the node of a tensor, constants included; other values stay."""
        if not isinstance(value, Tensor):
            return value
        if (node := _node(value)) is not None:
            return node
        if id(value) not in self._constants:
            target = f"constant{len(self._constants)}"
            self.parts[target] = value  # It is kept, so that no other tensor gets its id.
            self._constants[id(value)] = self.graph.get_attr(target)
            self._constants[id(value)].meta["shape"] = tuple(value.shape)
        return self._constants[id(value)]

    def _free(self, layer: str, inside: nn.Module, name: str) -> str:
        """Return a name in the graph for what a module calls: its own, if it calls one thing."""
        leaf = layer and not inside._modules
        base = layer if leaf else f"{layer}.{name}".strip(".")
        target, number = base, 1
        while target in self.parts or (target in self._places and not (leaf and target == layer)):
            target, number = f"{base}_{number}", number + 1
        return target

    def _where(self) -> str:
        layer, module = self._inside[-1]
        lines = [f for f in traceback.extract_stack() if not f.filename.startswith(OWN)]
        line = f"{Path(lines[-1].filename).name}:{lines[-1].lineno}, " if lines else ""
        return f"{line}{type(module).__name__}{f', layer {layer}' if layer else ''}"
