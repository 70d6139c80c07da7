"""Where the services of a cluster's cloud stand that scale to zero outside of the cluster, and as whom they run.

Part of a cluster's entry in the platform file: said by administrators, never by a caller.
"""

from __future__ import annotations

from pydantic import Field

from ai_platform_mcp.core.model import Value


class ServerlessAccount(Value):
    """What Cloud Run and Lambda need to know beside the image. Empty: nobody said it."""

    project: str = Field(default="", pattern=r"^([a-z][a-z0-9-]{4,28}[a-z0-9])?$")
    """The Google Cloud project's id. Cloud Run needs it."""
    location: str = Field(default="", pattern=r"^([a-z]{2}[a-z0-9-]*[0-9])?$")
    """The cloud's region, such as ``europe-west4`` or ``eu-west-1``; the cluster's own region where empty."""
    service_account: str = Field(default="", pattern=r"^([^@\s]+@[^@\s]+)?$")
    """E-mail of the Google service account that Cloud Run runs as; the project's default one where empty."""
    role_arn: str = Field(default="", pattern=r"^(arn:aws[a-z-]*:iam::\d{12}:role/\S+)?$")
    """The execution role that Lambda runs as. Lambda needs it."""
