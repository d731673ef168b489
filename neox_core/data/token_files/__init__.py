"""Documents as token ids on disk, in GPT-NeoX's and Megatron's formats: a pair of files `PREFIX.bin` and `PREFIX.idx`."""

from neox_core.data.token_files.layout import DTYPES, dtype_for_vocabulary
from neox_core.data.token_files.resumable_writer import ResumableWriter, State, WorkingFilesError
from neox_core.data.token_files.token_file import TokenFile, open_tokens
from neox_core.data.token_files.working_files import remove_working_files
from neox_core.data.token_files.writer import TokenFileWriter

__all__ = [
    "DTYPES",
    "ResumableWriter",
    "State",
    "TokenFile",
    "TokenFileWriter",
    "WorkingFilesError",
    "dtype_for_vocabulary",
    "open_tokens",
    "remove_working_files",
]
