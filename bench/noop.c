/* The least a program can be: what is timed is the confinement around it. */
int main(void) { return 0; }
