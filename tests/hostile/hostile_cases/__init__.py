"""Bad input, tampering and broken storage as data: how each is made, the command that meets it, and the line that it must say."""
