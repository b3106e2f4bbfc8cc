"""``python -m proxy_listener`` is ``proxy-listener``."""

from proxy_listener.cli import main

if __name__ == "__main__":
    main()
