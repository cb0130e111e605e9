"""How the public sets lie on disk. Each module reads one layout and says what it found; nothing is copied here."""
