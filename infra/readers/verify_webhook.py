"""Verifies a webhook by the standard's own library: the secret, headers and body are one JSON object on stdin. Fails if it isn't genuine."""

import json
import sys

from standardwebhooks.webhooks import Webhook

given = json.load(sys.stdin)
Webhook(given["secret"]).verify(given["body"].encode(), given["headers"])
