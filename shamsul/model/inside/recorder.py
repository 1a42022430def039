"""The record of a network's calls while it runs, as a graph of modules."""

from __future__ import annotations

import operator
import os
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode

from shamsul.errors import InputError
from shamsul.model.inside import operations

OWN = (f"{Path(torch.__file__).parent}{os.sep}", __file__)
"""Folder and file whose lines of code are not a network's own."""


def node_of(value: Any) -> fx.Node | None:
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
    """A call of one of torch's functions.

    Attributes
    ----------
    function, name : the function, and its plain name.
    arguments, named : arguments of the call; tensors of the images have nodes.
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
        inputs = [node for tensor in _tensors((arguments, named)) if (node := node_of(tensor))]
        return cls(function, operations.plain(function), arguments, named, shape, inputs)

    def changes_nothing(self, result: Any) -> bool:
        """Return whether the result is the first argument, as it was given."""
        first = self.arguments[0] if self.arguments else None
        if not isinstance(first, Tensor) or not isinstance(result, Tensor) or not node_of(first):
            return False
        if (result.shape, result.dtype, result.device) != (self.shape, first.dtype, first.device):
            return False
        if self.name in operations.RANDOM:
            return torch.equal(result, first)
        return self.name in operations.SAME | operations.RESHAPING

    def module(self, result: Any) -> nn.Module | None:
        """Return the module that computes the result of the first argument alone."""
        if not isinstance(result, Tensor) or not self.arguments or not node_of(self.arguments[0]):
            return None
        if self.name in operations.RESHAPING and self.shape[:1] == result.shape[:1]:
            rest = tuple(result.shape[1:])
            return nn.Flatten() if len(rest) == 1 else operations.Reshape(rest)
        if len(self.inputs) != 1:
            return None
        return operations.made(self.name, self.arguments, self.named)


def expanded(row: Tensor, images: Tensor) -> Tensor:
    """Repeat a constant, (1, ...), for each image: (N, ...)."""
    return row.expand(len(images), *row.shape[1:])


class Recorder(TorchFunctionMode):
    """The writer of a graph: it sees every function of torch that a network calls.

    Attributes
    ----------
    graph : graph of the calls so far.
    parts : modules and tensors of the graph, by their names in it.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.graph = fx.Graph()
        self.parts: dict[str, Any] = {}
        self._inside: list[tuple[str, nn.Module]] = [("", network)]
        self._places = {name for name, _ in network.named_modules(remove_duplicate=False)}
        self._constants: dict[int, fx.Node] = {}
        self._kept: list[Tensor] = []

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
        if not call.inputs or call.name in operations.FILLED:
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
            gated = operations.self_gated(call.inputs[0], call.inputs[1], self.parts)
            if gated:
                module, call = gated[1], replace(call, inputs=[gated[0]])
        if module is not None:
            target = self._free(layer, inside, call.name)
            self.parts[target] = module
            node = self.graph.call_module(target, (call.inputs[0],))
        elif call.name.startswith("expand") and self._each(call, result):
            node = self.graph.call_method("expand", (call.inputs[0], -1, *result.shape[1:]))
        else:
            node = self._function(call)
        kind, said = type(inside).__name__, f" (layer {layer})" if layer else ""
        leaf = layer and not inside._modules
        node.meta = {
            "name": call.name,
            "said": f"{kind}{said}" if leaf else f"{call.name} in {kind}{said}",
        }
        return node

    @staticmethod
    def _each(call: _Call, result: Any) -> bool:
        """Return whether each image's numbers become its own part of the result."""
        return isinstance(result, Tensor) and call.shape[:1] == result.shape[:1]

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
        if (node := node_of(value)) is not None:
            return node
        if id(value) not in self._constants:
            target = f"constant{len(self._constants)}"
            # One row that was expanded to the number of images is expanded to any number.
            each = value.dim() > 1 and len(value) == 2 and value.stride(0) == 0
            self.parts[target] = value[:1].contiguous() if each else value
            self._kept.append(value)  # So that no other tensor gets its id.
            node = self.graph.get_attr(target)
            node.meta["shape"] = tuple(value.shape)
            if each:
                images = next(iter(self.graph.nodes))
                node = self.graph.call_function(expanded, (node, images))
                node.meta = {"name": "expanded", "shape": tuple(value.shape)}
            self._constants[id(value)] = node
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
