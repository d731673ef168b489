"""What S3 and the way to it can answer, as sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from neox_core.checkpoint.remote import StoreError

ENVIRONMENT = "the environment of every host (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE)"

ABSENT = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchUpload"})
"""Codes that say that what was asked for is not there."""


class Answer(NamedTuple):
    """What some answers mean.

    Args:
        codes: theirs.
        sentence: with `bucket`, `doing` and `code` to fill in.
        lasting: whether it stays so until somebody mends it.
    """

    codes: frozenset[str]
    sentence: str
    lasting: bool = True


ANSWERS = (
    Answer(frozenset({"NoSuchBucket"}), "there is no bucket '{bucket}'; make it, or name another one"),
    Answer(
        frozenset(
            {
                *(
                    "InvalidAccessKeyId",
                    "SignatureDoesNotMatch",
                    "ExpiredToken",
                    "InvalidToken",
                    "TokenRefreshRequired",
                ),
                *("ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure"),
            }
        ),
        f"the store does not accept the credentials ({{code}}); correct those in {ENVIRONMENT}",
    ),
    Answer(
        frozenset({"403", "Forbidden"}),
        f"the credentials are wrong, or do not allow to {{doing}} ({{code}}); correct those in {ENVIRONMENT}",
    ),
    Answer(
        frozenset({"AccessDenied", "AllAccessDisabled", "MethodNotAllowed"}),
        f"the credentials do not allow to {{doing}} ({{code}}); have it allowed, or give others in {ENVIRONMENT}",
    ),
    Answer(
        frozenset({"301", "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}),
        "bucket '{bucket}' is in another region ({code}); set AWS_DEFAULT_REGION to its own",
    ),
    Answer(
        frozenset({"507", "InsufficientCapacity", "QuotaExceeded", "XMinioStorageFull", "InsufficientStorage"}),
        "the store has no room ({code}); delete something there, or raise its quota",
        lasting=False,
    ),
    Answer(
        frozenset({"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}),
        "what arrived is not what was sent ({code}); see to the network if it stays so",
        lasting=False,
    ),
    Answer(ABSENT, "is not there ({code}); see what is by `neox checkpoint ls URL`", lasting=False),
)


def code_of(error: Exception) -> str:
    """The code of an answer that is an error; empty where none came."""
    response: Mapping[str, Any] = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


@contextmanager
def spoken(url: Callable[[], str], doing: str) -> Iterator[None]:
    """Raise what botocore raises in the block as a StoreError about a URL.

    Args:
        url: gives it.
        doing: what is tried, as an infinitive.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise of_answer(error, url(), doing) from error
    except BotoCoreError as error:
        raise of_way(error, url(), doing) from error
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{url()}: the store cannot be reached to {doing} ({_brief(error)}); see to the network"
        ) from error


def of_answer(error: Exception, url: str, doing: str) -> StoreError:
    """What the store has answered."""
    code, bucket = code_of(error), url.partition("://")[2].partition("/")[0]
    for answer in ANSWERS:
        if code in answer.codes:
            sentence = answer.sentence.format(bucket=bucket, doing=doing, code=code)
            return StoreError(f"{url}: {sentence}", lasting=answer.lasting)
    return StoreError(f"{url}: the store failed to {doing} ({_brief(error)}); see to the store if it stays so")


def of_way(error: Exception, url: str, doing: str) -> StoreError:
    """What has kept a request from being answered."""
    from botocore import exceptions as known

    if isinstance(error, known.NoCredentialsError | known.PartialCredentialsError | known.CredentialRetrievalError):
        return StoreError(f"{url}: there are no credentials for S3; put them into {ENVIRONMENT}", lasting=True)
    if isinstance(error, known.ProfileNotFound | known.TokenRetrievalError | known.UnauthorizedSSOTokenError):
        return StoreError(f"{url}: no credentials can be had ({_brief(error)}); mend {ENVIRONMENT}", lasting=True)
    if isinstance(
        error, known.ParamValidationError | known.InvalidConfigError | known.InvalidEndpointConfigurationError
    ):
        return StoreError(f"{url}: {_brief(error)}; mend the URL or the configuration of S3", lasting=True)
    return StoreError(
        f"{url}: the store cannot be reached to {doing} ({_brief(error)}); see to the network, and to AWS_ENDPOINT_URL where it is "
        "not Amazon's"
    )


def _brief(error: Exception) -> str:
    """What an error says, in a line."""
    return without_secrets(str(error))[:300] or type(error).__name__


def without_secrets(text: str) -> str:
    """A text in a line, in which URLs are without their queries, in which signatures are, and without users and passwords."""
    words = (word.partition("?")[0] for word in text.split())
    return " ".join(re.sub(r"://[^/@]*@", "://", word) for word in words)
