"""Documents as token ids on disk, in GPT-NeoX's and Megatron's formats: a pair of files `PREFIX.bin` and `PREFIX.idx`."""

from neox_core.data.token_files.counting import Counts, count, document_ends
from neox_core.data.token_files.layout import DTYPES, dtype_for_vocabulary
from neox_core.data.token_files.merging import extract, merge, prefixes_in, require_other
from neox_core.data.token_files.resumable_writer import ResumableWriter, State, WorkingFilesError
from neox_core.data.token_files.token_file import TokenFile, open_tokens
from neox_core.data.token_files.verifying import MASKED, Verified, verify
from neox_core.data.token_files.working_files import remove_working_files
from neox_core.data.token_files.writer import TokenFileWriter

__all__ = [
    "DTYPES",
    "MASKED",
    "Counts",
    "ResumableWriter",
    "State",
    "TokenFile",
    "TokenFileWriter",
    "Verified",
    "WorkingFilesError",
    "count",
    "document_ends",
    "dtype_for_vocabulary",
    "extract",
    "merge",
    "open_tokens",
    "prefixes_in",
    "remove_working_files",
    "require_other",
    "verify",
]
