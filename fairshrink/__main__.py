"""`python -m fairshrink`: the command with the code of the current folder, where that holds a clone."""

from fairshrink.commands.main import process

if __name__ == "__main__":
    process()
