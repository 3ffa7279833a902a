"""`python -m unlearn_audit`: the command line, where its script is not on the path."""

from unlearn_audit.cli.app import main

if __name__ == "__main__":
    main()
