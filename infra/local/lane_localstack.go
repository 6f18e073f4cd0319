package main

// localStackExcluded says what the lane with LocalStack leaves out.
var localStackExcluded = []excluded{}
