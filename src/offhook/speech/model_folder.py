"""The folder of a model on this machine, as each engine's process looks for it."""

from pathlib import Path

from offhook.speech.frames import CannotStart


def model_folder(named: str) -> Path:
    """Where the model is. Raises CannotStart where nothing is."""
    folder = Path(named)
    if not folder.exists():
        raise CannotStart(
            f"There is no folder {folder}.",
            remedy="Get one: offhook models list, then offhook models pull NAME; or name a folder that holds one.",
        )
    return folder
