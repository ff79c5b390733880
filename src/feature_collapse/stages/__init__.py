"""One module per rule of the workflow and verb of the command line: reads, calls, writes."""
