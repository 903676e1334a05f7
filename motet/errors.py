"""The one exception that means "the input is wrong and here is the fix"; the command line turns it into exit code 2."""

import errno


class InputError(Exception):
    """A mistake in a person's file, table, setting or argument.

    `what` says what is wrong, `where` names the file, line, row or key, and `fix` says what would be right.
    Nothing has been written when it is raised, or what was there before is untouched.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__("\n".join([f"{where}: {what}" if where else what, *([f"fix: {fix}"] if fix else [])]))


def disk_is_full(error: BaseException) -> bool:
    """Whether that is what an error means; libraries that write for themselves tell it in words only."""
    number = getattr(error, "errno", None)
    return number in {errno.ENOSPC, errno.EDQUOT} or "os error 28" in str(error) or "No space left" in str(error)
