"""Nodes for jobs, which import this module."""

from __future__ import annotations

from typing import Any

from nipype.interfaces.base import BaseInterfaceInputSpec, SimpleInterface, TraitedSpec, traits


class NumberInputSpec(BaseInterfaceInputSpec):
    """A number."""

    number = traits.Int(mandatory=True)


class NumberOutputSpec(TraitedSpec):
    """Its square."""

    square = traits.Int()


class Square(SimpleInterface):
    """Square a number that is not negative."""

    input_spec, output_spec = NumberInputSpec, NumberOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        if self.inputs.number < 0:
            raise ValueError(f"{self.inputs.number} is negative")
        self._results["square"] = self.inputs.number**2
        return runtime


class UnguardedOutputSpec(TraitedSpec):
    """Names of modules."""

    names = traits.List(traits.Str)


class Unguarded(SimpleInterface):
    """Tell which of nipype's modules read any pickle in this process."""

    input_spec, output_spec = BaseInterfaceInputSpec, UnguardedOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        import sys

        from bids_fx.workflows.pickles import load_own

        self._results["names"] = [
            name
            for name, module in sys.modules.items()
            if name.startswith("nipype.") and vars(module).get("loadpkl", load_own) != load_own
        ]
        return runtime
