"""Run `python -m engine.starter.render`."""

from engine.starter.render.dataset import main

if __name__ == "__main__":
    main()
