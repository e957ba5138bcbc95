"""How fast the scripted engines are: as a vendor's would be, so that what is measured is the platform.

The node is given these as settings (`[speech.scripted]`); what they take is taken off what is measured.
"""

from typing import Final

FIRST_AUDIO_MS: Final = 150
WORD_EVERY_MS: Final = 100
FINAL_WORDS_MS: Final = 250
TURNS: Final = (
    "I would like to change an appointment please",
    "what have you got on Monday afternoon",
    "stop that one is fine",
)
