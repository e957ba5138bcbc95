"""What the engines of vendors have beside what all have: somebody who can be asked whether the key is right."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class VendorEngine(Protocol):
    """An ear or a voice somewhere else."""

    async def check(self) -> str:
        """Ask the vendor, at no or next to no cost, whether address, key and model are right; says in a few words what
        is there: "key accepted, model nova-3". Raises ProviderFailed with a code of `provider_trouble`. For `offhook
        check`, and for the service when it has started, which works with or without."""
