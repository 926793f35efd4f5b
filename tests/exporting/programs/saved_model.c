/* Run one signature of a SavedModel through TensorFlow's C API.
   saved_model MODEL INPUT OUTPUT HEIGHT WIDTH CHANNELS < raw uint8 pixels > output bytes
   INPUT and OUTPUT are operations of the graph, such as serving_default_image and StatefulPartitionedCall:1. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorflow/c/c_api.h>

static void check(TF_Status *status) {
  if (TF_GetCode(status) != TF_OK) {
    fprintf(stderr, "%s\n", TF_Message(status));
    exit(1);
  }
}

static TF_Output output_of(TF_Graph *graph, char *name) {
  char *colon = strchr(name, ':');
  int index = colon ? atoi(colon + 1) : 0;
  if (colon) *colon = 0;
  TF_Output output = {TF_GraphOperationByName(graph, name), index};
  if (!output.oper) {
    fprintf(stderr, "no operation %s\n", name);
    exit(1);
  }
  return output;
}

int main(int argc, char **argv) {
  if (argc != 7) return 2;
  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  const char *tags[] = {"serve"};
  TF_Session *session = TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, NULL, status);
  check(status);

  int64_t shape[] = {1, atoi(argv[4]), atoi(argv[5]), atoi(argv[6])};
  size_t size = shape[1] * shape[2] * shape[3];
  TF_Tensor *image = TF_AllocateTensor(TF_UINT8, shape, 4, size);
  if (fread(TF_TensorData(image), 1, size, stdin) != size) return 3;

  TF_Output from = output_of(graph, argv[2]), to = output_of(graph, argv[3]);
  TF_Tensor *found = NULL;
  TF_SessionRun(session, NULL, &from, &image, 1, &to, &found, 1, NULL, 0, NULL, status);
  check(status);
  fwrite(TF_TensorData(found), 1, TF_TensorByteSize(found), stdout);
  return 0;
}
