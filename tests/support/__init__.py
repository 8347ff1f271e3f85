"""What tests of every kind share. Imports the package and the stand-in for GitHub, and no tests."""
