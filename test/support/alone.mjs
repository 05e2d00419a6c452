// Programs that tests start tell nothing of coverage, which is measured in the tests' own processes: as another user they could
// not write it, and would say so on the standard error that tests compare.
delete process.env.NODE_V8_COVERAGE;
