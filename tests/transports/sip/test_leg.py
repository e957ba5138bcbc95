"""The contract of every leg (tests/transports/test_call_leg.py), over SIP."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

_spec = spec_from_file_location("leg_contract", Path(__file__).parents[1] / "test_call_leg.py")
assert _spec is not None
assert _spec.loader is not None
_contract = module_from_spec(_spec)
_spec.loader.exec_module(_contract)

TestSipLeg = _contract.TestLegContract
