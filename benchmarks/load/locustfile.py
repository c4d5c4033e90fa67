"""What Locust (https://locust.io) asks a model server: the same request again and again, without a pause."""

import os
from pathlib import Path

from locust import FastHttpUser, constant, task

PATH = os.environ["LOAD_PATH"]
BODY = Path(os.environ["LOAD_BODY_FILE"]).read_bytes() if "LOAD_BODY_FILE" in os.environ else None


class Client(FastHttpUser):
    """One client; it asks again as soon as it is answered."""

    wait_time = constant(0)

    @task
    def ask(self) -> None:
        if BODY is None:
            self.client.get(PATH)
        else:
            self.client.post(PATH, data=BODY, headers={"Content-Type": "application/json"})
