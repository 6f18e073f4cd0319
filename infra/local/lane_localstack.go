package main

// localStackOnly are the tests for which other lanes lack a server.
var localStackOnly = []excluded{
	{`^TestRunningEmulator$`, "it runs a second stack on the servers of the first, at one address, which only LocalStack has; and it reads a secret, which only LocalStack keeps"},
}

// localStackExcluded says what the lane with LocalStack leaves out.
var localStackExcluded = []excluded{}
