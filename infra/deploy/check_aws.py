"""Says where a deployment goes, or what it lacks. Run by make deploy."""

import sys

import boto3
import botocore.exceptions

try:
    session = boto3.Session()
    if not session.get_credentials():
        sys.exit("make deploy: no AWS credentials. Log in (aws configure, aws sso login), or name a profile: AWS_PROFILE=…")
    if not session.region_name:
        sys.exit("make deploy: no region. Name one: AWS_REGION=…")
    who = session.client("sts").get_caller_identity()
except botocore.exceptions.BotoCoreError as e:
    sys.exit(f"make deploy: {e}")
except botocore.exceptions.ClientError as e:
    sys.exit(f"make deploy: AWS refuses the credentials: {e}")
print(f"deploying to {session.region_name}, account {who['Account']}, as {who['Arn']}")
