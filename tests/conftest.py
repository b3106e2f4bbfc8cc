"""How property tests run: no deadline, because the machine is shared; and in CI the same examples every time, so that
what lands does not depend on luck. By hand they are new ones with each run.
"""

import os

from hypothesis import settings

settings.register_profile("house", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("house")
