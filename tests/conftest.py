"""Set up for every test: dummy credentials, no way out to the network, and hypothesis repeatable."""

import os

import hypothesis

# Before anything makes a client, and over whatever the caller's shell holds: no test may reach a real account.
os.environ.update(
    {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_SESSION_TOKEN": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        # Powertools warns of a metric without a service or namespace, and warnings fail tests.
        "POWERTOOLS_SERVICE_NAME": "draining",
        "POWERTOOLS_METRICS_NAMESPACE": "Bulwark",
    }
)
for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ENDPOINT_URL"):
    os.environ.pop(name, None)

# A client made before moto's core is imported would go out to the network.
import moto.core.models  # noqa: E402, F401

# Two busy cores: a deadline would measure the neighbours. Derandomised: a red build is red again.
hypothesis.settings.register_profile("bulwark", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("bulwark")
