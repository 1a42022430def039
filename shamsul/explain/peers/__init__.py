"""Methods of other libraries, run as they are beside the project's own."""
