truncate plain, samples;
