"""`python -m gradprom`: the command `gradprom`, where the folder of scripts is not on the path."""

from gradprom.cli import main

main()
