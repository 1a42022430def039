"""``python -m shamsul`` is the command `shamsul`."""

from shamsul.command import main

if __name__ == "__main__":
    main()
