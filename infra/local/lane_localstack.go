package main

// localStackOnly are the tests for which other lanes lack a server.
var localStackOnly = []excluded{
	{`^TestRunningEmulator$`, "it runs a second stack on the servers of the first, at one address, which only LocalStack has; and it reads a secret, which only LocalStack keeps"},
}

// localStackExcluded says what the lane with LocalStack leaves out.
var localStackExcluded = []excluded{
	{`^TestDownload$/^tampered,_no_parameters$`, "LocalStack checks the signature of a URL that has one, and answers requests that have none; the other tampered URLs are refused"},
	{`^TestUp_again$`, "LocalStack and DynamoDB Local keep nothing from one start to the next"},
	{`^TestUp_(seeds|noPython|portTaken)$`, "what they look at is over before an emulator is asked for anything, or needs none"},
	{`^TestDemo$/^a_`, "the faults are in the query, and psql's file finds them, whatever S3 the file was in; the demo itself runs"},
	{`^TestConnections_tooFew$`, "it is about Postgres and the functions alone"},
	{`^TestReaders$`, "it reads the bytes of a file, which are the same in every S3: TestExport and TestDownload compare them"},
}
