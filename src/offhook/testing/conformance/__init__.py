"""`offhook conformance`: plays the contract at a running app in any language, and says what the app did wrong.

Owns: the rules, the plays that find them broken, and an HTTP and WebSocket client that behave as the service's links
do. Who may enter: the command line and tests. Never here: the service's rooms or any package beside pydantic's, so that
`pip install offhook` is enough; an opinion about what an app says. Read `rule_book.py` first (what is judged), then
`play.py` (what is played), `stage.py` (how) and `conformance_run.py` (all of it).
"""

from offhook.testing.conformance.conformance_run import Aim, check_app
from offhook.testing.conformance.finding import Finding, Report
from offhook.testing.conformance.rule_book import RULES, Rule, Severity

__all__ = ["RULES", "Aim", "Finding", "Report", "Rule", "Severity", "check_app"]
