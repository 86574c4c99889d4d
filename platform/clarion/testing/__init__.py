"""The test kit: shipped, so that strangers can test their plugins."""
