"""`report.pdf`: the page, printed by the Chromium of this machine. No other program lays it out as a browser does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from datetime import datetime
from pathlib import Path

from unlearn_audit.errors import AuditError
from unlearn_audit.report.formats import html
from unlearn_audit.verdict.result import Result

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
SECONDS = 120
_DATES = re.compile(rb"(/(?:CreationDate|ModDate) \()D:[^)]*\)")
"""When it was printed; the same result gives the same file."""
_QUIET = (
    "--headless",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # in a container it is small
    "--disable-extensions",
    "--disable-background-networking",
    "--no-first-run",
    "--no-pdf-header-footer",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # the page needs nothing from elsewhere, and asks nobody
)


def render(result: Result) -> bytes:
    """The report as PDF, laid out for paper.

    Raises:
        AuditError: there is no Chromium, or it did not print.
    """
    browser = chromium()
    with tempfile.TemporaryDirectory() as scratch:
        page, printed = Path(scratch) / "report.html", Path(scratch) / "report.pdf"
        page.write_text(html.render(result), encoding="utf-8")
        _print(browser, page, printed)
        document = printed.read_bytes() if printed.is_file() else b""
    if not document.startswith(b"%PDF-"):
        raise AuditError(f"pdf: {Path(browser).name} printed nothing; write -f html and print the page from a browser")
    made = datetime.fromisoformat(result.started).strftime("D:%Y%m%d%H%M%S+00'00'").encode()
    return _DATES.sub(lambda found: found[1] + made + b")", document)


def chromium() -> str:
    """The program of a Chromium, or of a browser made from it.

    Raises:
        AuditError: none is on the PATH.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise AuditError(
            "pdf: expected a Chromium, Chrome or Edge on the PATH to print with; install one, or write -f html and "
            "print the page from a browser"
        )
    return browser


def _print(browser: str, page: Path, printed: Path) -> None:
    # Chromium's sandbox refuses to work for root; the page has no script and was escaped by us.
    as_root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    command = [browser, *_QUIET, *as_root, f"--user-data-dir={page.parent / 'profile'}", f"--print-to-pdf={printed}"]
    try:
        subprocess.run(  # noqa: S603 - a program of the PATH by a fixed name, with a page that we wrote
            [*command, page.as_uri()], check=False, capture_output=True, timeout=SECONDS, cwd=page.parent
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AuditError(f"pdf: {Path(browser).name} did not print the page ({type(error).__name__})") from error
